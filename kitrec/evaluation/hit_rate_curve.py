"""Hit rate at every rank: the share of records whose held-out item has that rank or a better one.

    hit_rate_r = (1 / R) sum_i clip(r - g_i, 0, e_i) / e_i      g, e: as in metrics.py
A held-out item that is not in the list has rank infinity; its record counts in R, so a written curve ends below one."""

import numpy as np
import polars as pl

from kitrec.evaluation.metrics import MISSING
from kitrec.evaluation.scoring import count_better_and_equal, join_records


def hit_rate_curves(rankings: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Return by method and kind the hit rate at every rank up to the number of candidates, and the share missing."""
    joined = join_records(rankings, records)
    better, equal = count_better_and_equal(joined)
    last = int(records["candidate_ids"].list.len().to_numpy().max())
    parts = []
    for (method, kind), group in sorted(joined.with_row_index().group_by("method", "kind"), key=lambda pair: pair[0]):
        g, e = (values[group["index"].to_numpy()] for values in (better, equal))
        curve = {"rank": np.arange(1, last + 1), "hit_rate": _hit_rates(g, e, last).round(6)}
        missing = round(float((g == MISSING).mean()), 6)
        parts.append(pl.DataFrame({"method": method, "kind": kind, "n": len(g), **curve, "missing": missing}))
    return pl.concat(parts)


def _hit_rates(g: np.ndarray, e: np.ndarray, last: int) -> np.ndarray:
    """Return the curve [last]: a record adds 1 / e at each of g+1 ... g+e, by a step up after g and down after g+e."""
    listed = g != MISSING
    starts, ends, share = g[listed], (g + e)[listed], 1 / e[listed]
    length = max(last, int(ends.max(initial=0))) + 1
    steps = np.bincount(starts, share, length) - np.bincount(ends, share, length)
    return np.asarray(steps.cumsum().cumsum()[:last] / len(g))
