"""Train a model over item ids on the readers the LLM learns from.   python -m stages.train_idrec sasrec
Reads the items and data/interactions of training and development users and of others; writes data/idrec/<method>, its
curve in plots/training/idrec-<method>.csv, what validations said (gates too) in plots/idrec/<method>.csv, and its
numbers in metrics/train/idrec-<method>.json."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from kitrec.core import files, params, tables
from kitrec.core.errors import InputError
from kitrec.recommenders.params import AnyMethod, Counted, IdRec, Ranker
from kitrec.recommenders.sequence_training import SELECTION_METRIC
from kitrec.recommenders.train import TrainedRecommender, TrainingData, train_best, validation_curves
from kitrec.schemas.items import ITEMS
from kitrec.schemas.split_interactions import SEEN
from kitrec.training.loop import OnEpochEnd
from kitrec.training.progress import training_bar
from kitrec.training.state import Progress
from kitrec.training.tensorboard import tensorboard_callback
from stages.lib import paths, runner


def main(method: str, quiet: runner.Quiet = runner.NOBODY_WATCHES) -> None:
    """Train METHOD of idrec.methods; the development users' held-out items choose its epoch."""
    seed = params.load(int, "seed")
    p: Ranker = params.load(AnyMethod, f"idrec.methods.{method}")  # type: ignore[arg-type]  # a union is no type to mypy
    train_on = params.value(IdRec, "idrec.train_on")
    pinned, trials = params.value(IdRec, "idrec.pinned_memory"), params.value(IdRec, "idrec.trials")
    sources = {role: paths.interactions(role) for role in ("train", "development", "others")}
    reads, asked = [paths.ITEMS, *sources.values()], [seed, p, train_on, pinned, trials]
    with runner.running("train_idrec", method, reads=reads, params=asked) as run:
        train, development, others = (tables.read(path, SEEN) for path in sources.values())
        if train_on == "all_reviews" and others.is_empty():
            raise InputError(
                "idrec.train_on: this source knows no reviews but those of sampled users; set it to records"
            )
        train = pl.concat([train, others]) if train_on == "all_reviews" else train
        data = TrainingData(seed, tables.read(paths.ITEMS, ITEMS), train, development, run.work, pinned)
        to = Path("data/idrec") / method
        with _epoch_callbacks(method, p, quiet=quiet) as on_epoch_end:
            trained, tried = train_best(method, p, trials, data, on_epoch_end, to)
        _write_record(method, trained, tried)


@contextmanager
def _epoch_callbacks(method: str, p: Ranker, *, quiet: bool) -> Iterator[OnEpochEnd]:
    """TensorBoard and a progress bar; counted models have no epochs."""
    write_tensorboard = tensorboard_callback(Path("logs/idrec") / method, asdict(p), SELECTION_METRIC)
    epochs = 1 if isinstance(p, Counted) else p.course.epochs
    with training_bar(method, epochs, SELECTION_METRIC, quiet=quiet or isinstance(p, Counted)) as show:

        def on_epoch_end(progress: Progress) -> None:
            write_tensorboard(progress)
            show(progress)

        yield on_epoch_end


def _write_record(method: str, trained: TrainedRecommender, tried: list[Any]) -> None:
    curve = pl.DataFrame(trained.rows, infer_schema_length=None).with_columns(pl.selectors.float().round(6))
    for rows, folder in ((curve, "plots/training/idrec-"), (validation_curves(trained.rows), "plots/idrec/")):
        with files.whole(Path(f"{folder}{method}.csv")) as draft:
            rows.write_csv(draft)
    files.write_json(trained.metrics | {"tried": tried}, Path(f"metrics/train/idrec-{method}.json"))


if __name__ == "__main__":
    runner.start(main)
