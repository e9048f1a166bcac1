"""How long an answer takes: milliseconds from histories to the best k items, exclusions included.

Every repeat asks other readers; the first repeats, which fill caches, do not count."""

import time

import numpy as np

from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.ranking.top_k import Scorer, predict

WARMING = 3


def latency(
    model: Scorer, histories: Sequences, batches: tuple[int, ...] = (1, 256), repeats: int = 100, topk: int = 10
) -> list[dict[str, float]]:
    """batch, p50_ms, p99_ms, users_per_second of each batch size; readers are asked round and round."""
    return [_row(model, histories, batch, repeats, topk) for batch in batches]


def _row(model: Scorer, histories: Sequences, batch: int, repeats: int, topk: int) -> dict[str, float]:
    spent = []
    for repeat in range(WARMING + repeats):
        own = histories.take((np.arange(batch) + repeat * batch) % len(histories))
        began = time.perf_counter()
        predict(model, own, topk)
        spent.append(time.perf_counter() - began)
    counted = np.array(spent[WARMING:]) * 1000
    p50, p99 = np.percentile(counted, [50, 99])
    return {
        "batch": batch,
        "p50_ms": round(float(p50), 3),
        "p99_ms": round(float(p99), 3),
        "users_per_second": round(batch / float(counted.mean()) * 1000, 1),
    }
