"""Inference with any model on disk (trained, of `kitrec fit`, or exported to ONNX), and its latency.

Latency is the time from histories to the best k items, exclusions included. Each repeat uses other users; the first
repeats, which fill caches, are not counted."""

import time
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.onnx.runtime import is_onnx_model, load_onnx_model
from kitrec.recommenders.data.sequences import Sequences, of_lists
from kitrec.recommenders.ranking import top_k
from kitrec.recommenders.ranking.top_k import Predicted, Scorer

WARMUP = 3


def load_scorer(model: Path) -> Scorer:
    """Return the model of a folder; for a folder of `kitrec fit`, its best model."""
    from kitrec.recommenders.cross_domain_storage import is_crossdomain  # imports torch
    from kitrec.recommenders.sequence_storage import load_model

    folder = next(iter(sorted(model.glob("best-*"))), model)
    if is_onnx_model(folder):
        return load_onnx_model(folder)
    if is_crossdomain(folder):
        raise InputError(f"{model} ranks the candidates of records only: take a sequence model (sasrec, bert4rec, ...)")
    return load_model(folder)


def predict(
    model: Path, user_sequences: Sequence[Sequence[str]], topk: int = 10, exclude_items: Collection[str] = ()
) -> Predicted:
    """Return the best `topk` items of each user; sequences are oldest first, items unknown to the model are skipped."""
    scorer = load_scorer(model)
    numbers = [scorer.vocabulary.numbers(pl.Series(items, dtype=pl.String)) for items in user_sequences]
    excluded = scorer.vocabulary.numbers(pl.Series(list(exclude_items), dtype=pl.String))
    return top_k.predict(scorer, of_lists(items[items > 0] for items in numbers), topk, np.unique(excluded))


def measure_latency(
    model: Scorer, histories: Sequences, batches: tuple[int, ...] = (1, 256), repeats: int = 100, topk: int = 10
) -> list[dict[str, float]]:
    """Return batch, p50_ms, p99_ms and users_per_second of each batch size; users are reused in turn."""
    return [_latency_row(model, histories, batch, repeats, topk) for batch in batches]


def _latency_row(model: Scorer, histories: Sequences, batch: int, repeats: int, topk: int) -> dict[str, float]:
    times = []
    for repeat in range(WARMUP + repeats):
        users = histories.take((np.arange(batch) + repeat * batch) % len(histories))
        start = time.perf_counter()
        top_k.predict(model, users, topk)
        times.append(time.perf_counter() - start)
    counted = np.array(times[WARMUP:]) * 1000
    p50, p99 = np.percentile(counted, [50, 99])
    return {
        "batch": batch,
        "p50_ms": round(float(p50), 3),
        "p99_ms": round(float(p99), 3),
        "users_per_second": round(batch / float(counted.mean()) * 1000, 1),
    }
