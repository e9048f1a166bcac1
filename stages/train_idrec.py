"""Train a model over item ids on the readers the LLM learns from.   python -m stages.train_idrec sasrec
Reads the items and data/interactions of training and development users and of others; writes data/idrec/<method>, its
curve in plots/training/idrec-<method>.csv, what validations said (gates too) in plots/idrec/<method>.csv, and its
numbers in metrics/train/idrec-<method>.json."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from kitrec.core import files, params, tables
from kitrec.core.errors import InputError
from kitrec.recommenders.params import AnyMethod, IdRec, NonParametricMethod, RankingMethod
from kitrec.recommenders.search import learn_best
from kitrec.recommenders.sequence_learning import Given, Outcome
from kitrec.recommenders.sequence_training import Progress
from kitrec.recommenders.validation_curves import validations
from kitrec.schemas.items import ITEMS
from kitrec.schemas.split_interactions import SPLIT_INTERACTIONS
from kitrec.training.progress import bar
from kitrec.training.tensorboard import board
from stages.lib import paths, runner


def main(method: str, quiet: runner.Quiet = runner.NOBODY_WATCHES) -> None:
    """Train METHOD of idrec.methods; the development users' held-out items choose its epoch."""
    seed = params.load(int, "seed")
    p: RankingMethod = params.load(AnyMethod, f"idrec.methods.{method}")  # type: ignore[arg-type]  # a union is no type to mypy
    train_on = params.value(IdRec, "idrec.train_on")
    pinned, trials = params.value(IdRec, "idrec.pin_memory"), params.value(IdRec, "idrec.trials")
    sources = {role: paths.interactions(role) for role in ("train", "development", "others")}
    reads, asked = [paths.ITEMS, *sources.values()], [seed, p, train_on, pinned, trials]
    with runner.running("train_idrec", method, reads=reads, params=asked) as run:
        train, development, others = (tables.read(path, SPLIT_INTERACTIONS) for path in sources.values())
        if train_on == "all_reviews" and others.is_empty():
            raise InputError(
                "idrec.train_on: this source knows no reviews but those of sampled users; set it to records"
            )
        train = pl.concat([train, others]) if train_on == "all_reviews" else train
        given = Given(seed, tables.read(paths.ITEMS, ITEMS), train, development, run.work, pinned)
        to = Path("data/idrec") / method
        with _listener(method, p, quiet=quiet) as told:
            outcome, tried = learn_best(method, p, trials, given, told, to)
        _write_record(method, outcome, tried)


@contextmanager
def _listener(method: str, p: RankingMethod, *, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """TensorBoard and a bar; what is counted has no epochs to tell of."""
    tell_board = board(Path("logs/idrec") / method, asdict(p))
    epochs = 1 if isinstance(p, NonParametricMethod) else p.training.epochs
    with bar(method, epochs, quiet=quiet or isinstance(p, NonParametricMethod)) as advance:

        def told(progress: Progress) -> None:
            tell_board(progress)
            advance(progress)

        yield told


def _write_record(method: str, outcome: Outcome, tried: list[Any]) -> None:
    curve = pl.DataFrame(outcome.rows, infer_schema_length=None).with_columns(pl.selectors.float().round(6))
    for rows, folder in ((curve, "plots/training/idrec-"), (validations(outcome.rows), "plots/idrec/")):
        with files.atomic(Path(f"{folder}{method}.csv")) as draft:
            rows.write_csv(draft)
    files.write_json(outcome.numbers | {"tried": tried}, Path(f"metrics/train/idrec-{method}.json"))


if __name__ == "__main__":
    runner.start(main)
