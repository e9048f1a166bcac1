"""Train a model that knows items by their titles alone.   python -m stages.train_titles METHOD
Reads params, models/base/base.json, data/items.parquet, data/interactions, the development records; writes
data/titles/<method>, metrics/train/titles-<method>.json, plots/training/titles-<method>.csv."""

from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.core.domains import Domains
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.preprocessing.params import Data
from kitrec.recommenders.params import IdRec
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.titles.params import AnyMethod, TitleMethod
from kitrec.titles.rounds import SELECTION
from kitrec.titles.train import Inputs, planned_rounds, train_method
from kitrec.training.device import use_device
from kitrec.training.params import Trainer
from kitrec.training.progress import stages_bar
from kitrec.training.validation_users import sample_rows
from stages.lib import paths, runner, seeds
from stages.lib.training_interactions import read_training


def main(method: str, quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Train METHOD of titles.methods on the users that recommenders learn from (idrec.train_on)."""
    # 1. Params and inputs
    seed, domains = seeds.training_seed(), params.load(Domains, "domains")
    which = params.value(Data, "data.candidate_set")
    train_on = params.value(IdRec, "idrec.train_on")
    p: AnyMethod = params.load(TitleMethod, f"titles.methods.{method}")  # type: ignore[arg-type]  # a union
    interactions = {role: paths.interactions(role) for role in ("train", "development", "others")}
    use_device(params.value(Trainer, "trainer.device"))
    most = params.value(Trainer, "trainer.llm_validation_users")
    records = paths.set_records(which, "development")
    reads = [FILE, paths.ITEMS, *interactions.values(), records]
    with runner.running("train_titles", method, reads=reads, params=[seed, domains, which, train_on, p, most]) as run:
        # 2. Items, the users to learn from, and the development records that choose the weights
        inputs = Inputs(
            base=read_pinned(),
            domains=domains,
            items=tables.read(paths.ITEMS, ITEMS),
            train=read_training(train_on),
            development=tables.read(interactions["development"], SPLIT_INTERACTIONS),
            records=sample_rows(tables.read(records, RECORDS, leave_out=TEXT_COLUMNS), most, seed),
            seed=seed,
            work=run.work,
        )
        # 3. Training, resumed from the newest checkpoint; the best weights are stored
        with stages_bar(planned_rounds(p), SELECTION.metric, quiet=quiet) as show:
            trained = train_method(p, inputs, show, paths.title_model(method))
        # 4. The curve and the metrics
        curve = pl.DataFrame(trained.rows, infer_schema_length=None).with_columns(pl.selectors.float().round(6))
        with files.atomic(Path(f"plots/training/titles-{method}.csv")) as draft:
            curve.write_csv(draft)
        files.write_json(trained.metrics, Path(f"metrics/train/titles-{method}.json"))


if __name__ == "__main__":
    runner.start(main)
