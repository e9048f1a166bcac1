"""Train one stage of ThinkRec.   python -m stages.train_thinkrec text
Reads the pinned base, the items, data/thinkrec/records, the stage it continues from, raw/user2group.csv;
writes data/thinkrec/<stage>, plots/training/thinkrec-<stage>.csv and metrics/train/thinkrec-<stage>.json."""

from functools import partial
from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.llm.base.loading import load_base, load_tokenizer
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.schemas.items import ITEMS
from kitrec.thinkrec.checkpoint import Progress
from kitrec.thinkrec.params import GroupsFromFile, GroupsStage, ProjectorStage, Stages, ThinkRec
from kitrec.thinkrec.progress import bar
from kitrec.thinkrec.records import read_records
from kitrec.thinkrec.reflection import reflection_metrics
from kitrec.thinkrec.stage_training import Given, told, train_groups, train_projector, train_text
from stages.lib import paths, runner
from stages.lib.rationale_teacher import teacher_of

FOLDER, GROUPS_FILE = Path("data/thinkrec"), Path("raw/user2group.csv")


def main(stage: str, quiet: runner.Quiet = runner.NOBODY_WATCHES) -> None:
    """Train STAGE: text (an adapter), projector (vectors in the prompt), or groups (one adapter per group)."""
    seed, before = params.load(int, "seed"), params.load(str, f"thinkrec.train.{stage}")
    p = params.value(Stages, f"thinkrec.stages.{stage}")
    weights, prompt = params.value(ThinkRec, "thinkrec.base_weights"), params.value(ThinkRec, "thinkrec.prompt")
    objective, teacher = params.value(ThinkRec, "thinkrec.objective"), params.value(ThinkRec, "thinkrec.teacher")
    group_files = [GROUPS_FILE] if isinstance(p, GroupsStage) and isinstance(p.members, GroupsFromFile) else []
    reads = [FILE, paths.ITEMS, FOLDER / "records", FOLDER / before, *group_files]
    stage_params = [seed, p, before, weights, prompt, objective, teacher]
    with (
        runner.running("train_thinkrec", stage, reads=reads, params=stage_params) as run,
        bar(p.training, quiet=quiet) as tell,
    ):
        base = read_pinned()
        train, valid = (read_records(FOLDER / f"records/{part}.jsonl") for part in ("train", "valid"))
        given = Given(
            prompt=prompt,
            objective=objective,
            train=train.records,
            valid=valid.records,
            users=train.users,
            items=train.items,
            load_base=partial(load_base, base, weights),
            tokenizer=load_tokenizer(base),
            base=base,
            folder=FOLDER,
            work=run.work,
            seed=seed,
            told=tell,
        )
        more: dict[str, object] = {"dropped": train.dropped}
        match p:
            case GroupsStage():
                learned = train_groups(given, p, GROUPS_FILE)
            case ProjectorStage():
                learned = {stage: train_projector(given, p)}
            case _:
                learned = {stage: train_text(given, p)}
                explains = teacher_of(teacher, tables.read(paths.ITEMS, ITEMS), seed, quiet=quiet)
                more["reflection"] = reflection_metrics(given, p, explains)
        _write_record(stage, learned, more)


def _write_record(stage: str, learned: dict[str, Progress], more: dict[str, object]) -> None:
    rows = pl.DataFrame([{"part": part, **row} for part, own in learned.items() for row in own.rows])
    with files.atomic(Path(f"plots/training/thinkrec-{stage}.csv")) as draft:
        rows.with_columns(pl.selectors.float().round(6)).write_csv(draft)
    metrics = Path(f"metrics/train/thinkrec-{stage}.json")
    files.write_json({part: told(own) for part, own in learned.items()} | more, metrics)


if __name__ == "__main__":
    runner.start(main)
