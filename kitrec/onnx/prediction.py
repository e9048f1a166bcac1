"""The best items of readers by any model on disk: a trained one, one of `kitrec fit`, or one exported to ONNX."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.onnx.runtime import is_served, load_served
from kitrec.recommenders.data.sequences import of_lists
from kitrec.recommenders.ranking import top_k
from kitrec.recommenders.ranking.top_k import Predicted, Scorer


def load_scorer(model: Path) -> Scorer:
    """The model of a folder; of a folder of `kitrec fit` its best."""
    from kitrec.recommenders.storage import load_model  # torch is only needed here

    folder = next(iter(sorted(model.glob("best-*"))), model)
    if is_served(folder):
        return load_served(folder)
    stored = load_model(folder)
    if stored.is_cross_domain:
        raise InputError(f"{model} ranks the candidates of records only: take a sequence model (sasrec, bert4rec, ...)")
    return stored


def predict(
    model: Path, user_sequences: Sequence[Sequence[str]], topk: int = 10, exclude_items: Collection[str] = ()
) -> Predicted:
    """The best `topk` items of each user, whose items stand oldest first; items the model does not know are skipped."""
    scorer = load_scorer(model)
    numbers = [scorer.vocabulary.numbers(pl.Series(own, dtype=pl.String)) for own in user_sequences]
    excluded = scorer.vocabulary.numbers(pl.Series(list(exclude_items), dtype=pl.String))
    return top_k.predict(scorer, of_lists(own[own > 0] for own in numbers), topk, np.unique(excluded))
