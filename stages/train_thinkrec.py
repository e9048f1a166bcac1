"""Train one stage of ThinkRec.   python -m stages.train_thinkrec text
Reads the pinned base, the items, data/thinkrec/records, what the stage goes on from, raw/user2group.csv;
writes data/thinkrec/<stage>, plots/training/thinkrec-<stage>.csv and metrics/train/thinkrec-<stage>.json."""

from functools import partial
from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.llm.base.precision import load_in
from kitrec.schemas.items import ITEMS
from kitrec.thinkrec.params import GivenGroups, GroupsStage, ProjectorStage, Stages, ThinkRec
from kitrec.thinkrec.records import read_records
from kitrec.thinkrec.reflection_training import reflected
from kitrec.thinkrec.stage_training import StageData, train_groups, train_projector, train_text
from kitrec.thinkrec.training import SELECTION, TrainedStage
from kitrec.training.progress import stages_bar
from stages.lib import paths, runner
from stages.lib.rationale_teacher import teacher_of

FOLDER, GIVEN = Path("data/thinkrec"), Path("raw/user2group.csv")


def main(stage: str, quiet: runner.Quiet = runner.NOBODY_WATCHES) -> None:
    """Train STAGE: text (an adapter), projector (vectors into the prompt), or groups (an adapter a group)."""
    seed, goes_on_from = params.load(int, "seed"), params.load(str, f"thinkrec.train.{stage}")
    p = params.value(Stages, f"thinkrec.stages.{stage}")
    weights, prompt = params.value(ThinkRec, "thinkrec.base_weights"), params.value(ThinkRec, "thinkrec.prompt")
    objective, teacher = params.value(ThinkRec, "thinkrec.objective"), params.value(ThinkRec, "thinkrec.teacher")
    by_hand = [GIVEN] if isinstance(p, GroupsStage) and isinstance(p.members, GivenGroups) else []
    reads = [FILE, paths.ITEMS, FOLDER / "records", FOLDER / goes_on_from, *by_hand]
    asked = [seed, p, goes_on_from, weights, prompt, objective, teacher]
    rounds = p.course.updates // p.course.judge_every
    with (
        runner.running("train_thinkrec", stage, reads=reads, params=asked) as run,
        stages_bar(rounds, SELECTION.metric, quiet=quiet, unit="updates") as show,
    ):
        base = read_pinned()
        train, valid = (read_records(FOLDER / f"records/{part}.jsonl") for part in ("train", "valid"))
        data = StageData(
            prompt=prompt,
            objective=objective,
            train=train.records,
            valid=valid.records,
            users=train.users,
            items=train.items,
            load_base=partial(load_in, base, weights),
            tokenizer=load_tokenizer(base),
            base=base,
            folder=FOLDER,
            work=run.work,
            seed=seed,
            on_validation=show,
        )
        more: dict[str, object] = {"dropped": train.dropped}
        match p:
            case GroupsStage():
                learned = train_groups(data, p, GIVEN)
            case ProjectorStage():
                learned = {stage: train_projector(data, p)}
            case _:
                learned = {stage: train_text(data, p)}
                explains = teacher_of(teacher, tables.read(paths.ITEMS, ITEMS), seed, quiet=quiet)
                more["reflection"] = reflected(data, p, explains)
        _write_record(stage, learned, more)


def _write_record(stage: str, learned: dict[str, TrainedStage], more: dict[str, object]) -> None:
    rows = pl.DataFrame([{"part": part, **row} for part, own in learned.items() for row in own.progress.rows])
    with files.whole(Path(f"plots/training/thinkrec-{stage}.csv")) as draft:
        rows.with_columns(pl.selectors.float().round(6)).write_csv(draft)
    metrics = Path(f"metrics/train/thinkrec-{stage}.json")
    files.write_json({part: own.metrics() for part, own in learned.items()} | more, metrics)


if __name__ == "__main__":
    runner.start(main)
