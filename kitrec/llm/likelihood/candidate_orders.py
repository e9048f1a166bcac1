"""Records with their candidates permuted, and scores brought back to the records' order."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from kitrec.core.randomness import generator

_LISTS = ("candidate_ids", "candidate_origins")


def permuted(records: pl.DataFrame, number: int, seed: int) -> tuple[pl.DataFrame, list[np.ndarray]]:
    """Return the records in permutation `number` (0: unchanged), and for each the old position at every new one."""
    orders = [_order(row, number, seed) for row in records.select("record_id", "candidate_ids").iter_rows()]
    columns = [
        pl.Series(name, [[row[k] for k in order] for row, order in zip(records[name].to_list(), orders, strict=True)])
        for name in _LISTS
    ]
    return records.with_columns(columns), orders


def unpermuted(scores: Sequence[np.ndarray], orders: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return scores of permuted candidates in the order of the records."""
    restored = []
    for row, order in zip(scores, orders, strict=True):
        values = np.empty(len(row))
        values[order] = row
        restored.append(values)
    return restored


def _order(row: tuple[str, list[str]], number: int, seed: int) -> np.ndarray:
    record, candidates = row
    rng = generator(seed, f"order {number} of candidates", record)
    return rng.permutation(len(candidates)) if number else np.arange(len(candidates))
