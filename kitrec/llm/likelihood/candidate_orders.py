"""The same records with their candidates in other orders, and scores brought back to one order."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from kitrec.core.randomness import generator

_LISTS = ("candidate_ids", "candidate_origins")


def reordered(records: pl.DataFrame, number: int, seed: int) -> tuple[pl.DataFrame, list[np.ndarray]]:
    """The records in order `number` (0: as they are), and for each which old place stands at which new one."""
    places = [_places(row, number, seed) for row in records.select("record_id", "candidate_ids").iter_rows()]
    columns = [
        pl.Series(name, [[row[k] for k in place] for row, place in zip(records[name].to_list(), places, strict=True)])
        for name in _LISTS
    ]
    return records.with_columns(columns), places


def restored(scores: Sequence[np.ndarray], places: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Scores of reordered candidates, in the order the records had."""
    back = []
    for own, place in zip(scores, places, strict=True):
        values = np.empty(len(own))
        values[place] = own
        back.append(values)
    return back


def _places(row: tuple[str, list[str]], number: int, seed: int) -> np.ndarray:
    record, candidates = row
    rng = generator(seed, f"order {number} of candidates", record)
    return rng.permutation(len(candidates)) if number else np.arange(len(candidates))
