"""Train one stage of ThinkRec.   python -m stages.train_thinkrec text
Reads the pinned base, the items, data/thinkrec/records, the stage that it continues from, raw/user2group.csv;
writes data/thinkrec/<stage>, plots/training/thinkrec-<stage>.csv and metrics/train/thinkrec-<stage>.json."""

from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.llm.base.loading import load_base, load_tokenizer
from kitrec.llm.base.memory_plan import check_training
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.schemas.items import ITEMS
from kitrec.thinkrec.params import GroupsFromFile, GroupsStage, ProjectorStage, Stages, ThinkRec
from kitrec.thinkrec.records import of_sampled_users, read_records
from kitrec.thinkrec.reflection import reflection_metrics
from kitrec.thinkrec.stage_training import StageData, train_groups, train_projector, train_text, training_load
from kitrec.thinkrec.training import SELECTION
from kitrec.training.device import use_device
from kitrec.training.params import Trainer
from kitrec.training.progress import stages_bar
from stages.lib import paths, runner, seeds
from stages.lib.rationale_teacher import load_rationale_teacher

FOLDER, GROUPS_FILE = paths.THINKREC, Path("raw/user2group.csv")


def main(stage: str, quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Train STAGE: text (an adapter), projector (vectors into the prompt), or groups (one adapter per group)."""
    # 1. Params and inputs
    seed, previous_stage = seeds.training_seed(), params.load(str, f"thinkrec.train.{stage}")
    p = params.value(Stages, f"thinkrec.stages.{stage}")
    use_device(params.value(Trainer, "trainer.device"))
    most = params.value(Trainer, "trainer.llm_validation_users")
    weights, prompt = params.value(ThinkRec, "thinkrec.base_weights"), params.value(ThinkRec, "thinkrec.prompt")
    objective, teacher = params.value(ThinkRec, "thinkrec.objective"), params.value(ThinkRec, "thinkrec.teacher")
    members = [GROUPS_FILE] if isinstance(p, GroupsStage) and isinstance(p.members, GroupsFromFile) else []
    reads = [FILE, paths.ITEMS, FOLDER / "records", FOLDER / previous_stage, *members]
    settings = [seed, p, previous_stage, weights, prompt, objective, teacher, most]
    with runner.running("train_thinkrec", stage, reads=reads, params=settings) as run:
        # 2. The base, and the records with the vectors of their users and items
        base = read_pinned()
        check_training(base, training_load(weights, prompt, p.training), shrinks=True)
        train, valid = (read_records(FOLDER / f"records/{part}.jsonl") for part in ("train", "valid"))
        extra: dict[str, object] = {"dropped": train.dropped}
        with stages_bar(p.training.rounds, SELECTION.metric, quiet=quiet, unit="updates") as on_validation:
            data = StageData(
                prompt=prompt,
                objective=objective,
                train=train.records,
                valid=of_sampled_users(valid.records, most, seed),
                users=train.users,
                items=train.items,
                load_base=lambda: load_base(base, weights),
                tokenizer=load_tokenizer(base),
                base=base,
                folder=FOLDER,
                work=run.work,
                seed=seed,
                on_validation=on_validation,
            )
            # 3. Training, resumed from the newest checkpoint; each stage writes its adapters or its projector
            if isinstance(p, GroupsStage):
                trained = train_groups(data, p, GROUPS_FILE)
            elif isinstance(p, ProjectorStage):
                trained = {stage: train_projector(data, p)}
            else:  # after the text stage, the adapter learns from its mistakes, which the teacher explains
                trained = {stage: train_text(data, p)}
                explainer = load_rationale_teacher(teacher, tables.read(paths.ITEMS, ITEMS), seed, quiet=quiet)
                extra["reflection"] = reflection_metrics(data, p, explainer)
        # 4. The training curves and the metrics
        curves = pl.DataFrame([{"part": part, **row} for part, each in trained.items() for row in each.progress.rows])
        with files.atomic(Path(f"plots/training/thinkrec-{stage}.csv")) as draft:
            curves.with_columns(pl.selectors.float().round(6)).write_csv(draft)
        metrics = {part: each.metrics() for part, each in trained.items()} | extra
        files.write_json(metrics, Path(f"metrics/train/thinkrec-{stage}.json"))


if __name__ == "__main__":
    runner.start(main)
