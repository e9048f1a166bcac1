"""Two runs on the same users: another experiment, or the other candidate set. Users are joined, lists may differ.

Within a run methods are compared on equal lists only (comparisons.py); here the lists themselves may be what differs,
as between the sets A and B, so a difference is one of run and lists together."""

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.evaluation.contrasts import contrasts
from kitrec.evaluation.score_matrix import Column, Matrix
from kitrec.schemas.scores import METRICS

_WHO = ("user_id", "target")
_SAME = ("user_type", "core", "gt_has_metadata")  # what a user's truth does not lose from list to list


def against(first: pl.DataFrame, second: pl.DataFrame, *, resamples: int, flips: int, seed: int) -> pl.DataFrame:
    """One row per method, kind and metric that both scores tables have: second minus first, user by user."""
    ranked = [table.select("method", "kind").unique() for table in (first, second)]
    shared = ranked[0].join(ranked[1], on=["method", "kind"])
    if shared.is_empty():
        raise InputError("the two runs have no method in common: nothing to compare")
    parts = [
        _one(first, second, method, kind, resamples, flips, seed)
        for method, kind in shared.sort("method", "kind").iter_rows()
    ]
    return pl.concat(parts)


def _one(
    first: pl.DataFrame, second: pl.DataFrame, method: str, kind: str, resamples: int, flips: int, seed: int
) -> pl.DataFrame:
    own = [table.filter(method=method, kind=kind) for table in (first, second)]
    both = own[0].join(own[1], on=_WHO, suffix="_second", validate="1:1").sort(_WHO)
    strangers = both.filter(pl.any_horizontal(pl.col(name) != pl.col(f"{name}_second") for name in _SAME))
    if both.is_empty() or strangers.height:
        raise InputError(
            f"{method} ({kind}): {strangers.height} of {both.height} users of the same name are not the same users; "
            "both runs must come from the same data, world and seed"
        )
    names = [*METRICS, *(f"{metric}_second" for metric in METRICS)]
    columns = tuple(Column(method, kind, name) for name in names)
    m = Matrix(both.select("record_id", *_WHO), columns, both.select(names).to_numpy())
    weights = np.vstack([-np.eye(len(METRICS)), np.eye(len(METRICS))])
    tested = contrasts(m, weights, resamples=resamples, flips=flips, seed=seed)
    means = m.values.mean(axis=0)
    about = {
        "method": method,
        "kind": kind,
        "metric": METRICS,
        "left_out": sum(table.height for table in own) - 2 * both.height,
        "first": means[: len(METRICS)],
        "second": means[len(METRICS) :],
    }
    return pl.concat([pl.DataFrame(about), tested], how="horizontal")
