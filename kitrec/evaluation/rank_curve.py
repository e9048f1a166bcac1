"""Where the truth stands: for every rank, the share of records whose truth stands there or further up.

    within_r = (1 / R) sum_i clip(r - g_i, 0, e_i) / e_i        g, e: as in metrics.py
A truth that is not in the list has rank infinity: it counts among the R, so a written curve ends below one."""

import numpy as np
import polars as pl

from kitrec.evaluation.metrics import MISSING
from kitrec.evaluation.scoring import places, with_records


def ranks(rankings: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """By method and kind: `within` for every rank up to the number of candidates, and the share of missing truths."""
    joined = with_records(rankings, records)
    better, equal = places(joined)
    last = int(records["candidate_ids"].list.len().to_numpy().max())
    parts = []
    for (method, kind), own in sorted(joined.with_row_index().group_by("method", "kind"), key=lambda pair: pair[0]):
        g, e = (values[own["index"].to_numpy()] for values in (better, equal))
        curve = {"rank": np.arange(1, last + 1), "within": _within(g, e, last).round(6)}
        missing = round(float((g == MISSING).mean()), 6)
        parts.append(pl.DataFrame({"method": method, "kind": kind, "n": len(g), **curve, "missing": missing}))
    return pl.concat(parts)


def _within(g: np.ndarray, e: np.ndarray, last: int) -> np.ndarray:
    """The curve [last]: a truth adds 1 / e at each of g+1 ... g+e, a step up behind g and a step down behind g+e."""
    found = g != MISSING
    starts, ends, share = g[found], (g + e)[found], 1 / e[found]
    length = max(last, int(ends.max(initial=0))) + 1
    steps = np.bincount(starts, share, length) - np.bincount(ends, share, length)
    return np.asarray(steps.cumsum().cumsum()[:last] / len(g))
