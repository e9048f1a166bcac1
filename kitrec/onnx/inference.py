"""Inference with any model on disk: trained by a stage, by `kitrec fit`, or exported to ONNX."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.onnx.runtime import is_onnx_model, load_onnx_model
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.ranking import top_k
from kitrec.recommenders.ranking.top_k import Scorer, TopK


def load_scorer(model: Path) -> Scorer:
    """Return the model of a folder; for a folder of `kitrec fit`, its best model."""
    from kitrec.recommenders.storage import load_model  # imports torch

    if not model.is_dir():
        raise InputError(f"{model} is no folder of a model: give that of `kitrec fit --to`, or one of data/idrec")
    folder = next(iter(sorted(model.glob("best-*"))), model)
    if several := sorted(path.parent for path in folder.glob("*/best-*")):
        raise InputError(f"{model} holds models of several methods: name {' or '.join(map(str, several))}")
    if is_onnx_model(folder):
        return load_onnx_model(folder)
    stored = load_model(folder)
    if stored.is_cross_domain:
        raise InputError(f"{model} ranks the candidates of records only: take a sequence model (sasrec, bert4rec, ...)")
    return stored


def predict(
    model: Path, user_sequences: Sequence[Sequence[str]], topk: int = 10, exclude_items: Collection[str] = ()
) -> TopK:
    """Return the best `topk` items of each user; sequences are oldest first, items unknown to the model are skipped."""
    scorer = load_scorer(model)
    numbers = [scorer.vocabulary.numbers(pl.Series(items, dtype=pl.String)) for items in user_sequences]
    excluded = scorer.vocabulary.numbers(pl.Series(list(exclude_items), dtype=pl.String))
    return top_k.predict(scorer, sequences_from_lists(items[items > 0] for items in numbers), topk, np.unique(excluded))
