"""Inference with any model on disk: trained by a stage, by `kitrec fit`, or exported to ONNX."""

from collections.abc import Collection, Iterable, Sequence
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
    from kitrec.training.device import use_device

    if not model.is_dir():
        raise InputError(f"{model} is no folder of a model: give that of `kitrec fit --to`, or one of data/idrec")
    folder = next(iter(sorted(model.glob("best-*"))), model)
    if several := sorted(path.parent for path in folder.glob("*/best-*")):
        raise InputError(f"{model} holds models of several methods: name {' or '.join(map(str, several))}")
    if is_onnx_model(folder):
        return load_onnx_model(folder)
    stored = load_model(folder, use_device("auto"))
    if stored.is_cross_domain:
        raise InputError(f"{model} ranks the candidates of records only: take a sequence model (sasrec, bert4rec, ...)")
    return stored


Item = str | int


def predict(
    model: Path,
    user_sequences: Sequence[Sequence[Item]],
    topk: int = 10,
    exclude_items: Collection[Item] | Sequence[Collection[Item]] = (),
) -> TopK:
    """Return the best `topk` items of each user; sequences are oldest first, items unknown to the model are skipped.

    `exclude_items` are never recommended: items, or one collection of items for each user."""
    scorer = load_scorer(model)
    sequences = sequences_from_lists(_numbers(scorer, items) for items in user_sequences)
    by_user = [items for items in exclude_items if not isinstance(items, str | int)]
    if not by_user:
        excluded = _numbers(scorer, [item for item in exclude_items if isinstance(item, str | int)])
        return top_k.predict(scorer, sequences, topk, np.unique(excluded))
    if len(by_user) != len(exclude_items) or len(by_user) != len(user_sequences):
        raise InputError(
            f"exclude_items: {len(by_user)} collections of items for {len(user_sequences)} users; give items, or one "
            "collection for each user"
        )
    left_out = sequences_from_lists(_numbers(scorer, items) for items in by_user)
    return top_k.predict(scorer, sequences, topk, excluded_by_user=left_out)


def _numbers(scorer: Scorer, items: Iterable[Item]) -> np.ndarray:
    """Return the numbers of the items that the model knows."""
    numbers = scorer.vocabulary.numbers(pl.Series([str(item) for item in items], dtype=pl.String))
    return numbers[numbers > 0]
