"""Train a model over item ids on the readers the LLM learns from.   python -m stages.train_idrec sasrec
Reads the items and data/interactions of the training and development users; writes data/idrec/<method>, its curve in
plots/training/idrec-<method>.csv and its numbers in metrics/train/idrec-<method>.json."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl

from kitrec import files, params, tables
from kitrec.contracts.items import ITEMS
from kitrec.contracts.seen import SEEN
from kitrec.idrec.curves import board
from kitrec.idrec.epochs import bar
from kitrec.idrec.fitting import Fitted, fit
from kitrec.idrec.item_features import known_of
from kitrec.idrec.params import BERT4Rec, Method
from kitrec.idrec.readers import histories, readers, truths, with_truths
from kitrec.idrec.storing import Stored, save_model
from kitrec.idrec.training import Progress, Validation
from kitrec.idrec.vocabulary import Vocabulary
from stages import entry, paths


def main(method: str, quiet: entry.Quiet = entry.NOBODY_WATCHES) -> None:
    """Train METHOD of idrec.methods; the development users' held-out items choose its epoch."""
    seed, p = params.load(int, "seed"), params.load(Method, f"idrec.methods.{method}")
    sources = {role: paths.interactions(role) for role in ("train", "development")}
    features = p.model.metadata.features if isinstance(p.model, BERT4Rec) else []
    with entry.running("train_idrec", method, reads=[paths.ITEMS, *sources.values()], params=[seed, p]) as run:
        train, development = (tables.read(path, SEEN) for path in sources.values())
        vocabulary = Vocabulary(train["item_id"])
        known, notices = known_of(tables.read(paths.ITEMS, ITEMS), vocabulary, features, seed)
        print(*notices, sep="\n", end="\n" if notices else "")
        learned = with_truths(train, readers(train), p.history, vocabulary)
        validation = None if p.course.mode == "full_data" else _validation(development, p, vocabulary)
        tell_board = board(Path("logs/idrec") / method, asdict(p))
        with bar(method, p.course.epochs, quiet=quiet) as advance:

            def told(progress: Progress) -> None:
                tell_board(progress)
                advance(progress)

            fitted = fit(p, known, len(vocabulary), learned, validation, seed, run.work, told)
        chosen = {name: round(value, 6) for name, value in fitted.told().items()}
        popularity = np.bincount(learned.items, minlength=len(vocabulary) + 1).astype(np.float32)
        stored = Stored(fitted.model, vocabulary, popularity, chosen)
        save_model(stored, p.model, known, Path("data/idrec") / method)
        _write_record(method, fitted, {**chosen, "items": len(vocabulary), "sequences": len(learned)})


def _validation(development: pl.DataFrame, p: Method, vocabulary: Vocabulary) -> Validation:
    """Development readers with a known history and a known truth."""
    who = readers(development)
    own, wanted = histories(development, who, p.history, vocabulary), truths(development, who, vocabulary)
    judged = np.flatnonzero((own.lengths > 0) & (wanted > 0))
    return Validation(own.take(judged), wanted[judged])


def _write_record(method: str, fitted: Fitted, numbers: dict[str, float]) -> None:
    with files.whole(Path(f"plots/training/idrec-{method}.csv")) as draft:
        pl.DataFrame(fitted.progress.rows).with_columns(pl.selectors.float().round(6)).write_csv(draft)
    files.write_json(numbers, Path(f"metrics/train/idrec-{method}.json"))


if __name__ == "__main__":
    entry.start(main)
