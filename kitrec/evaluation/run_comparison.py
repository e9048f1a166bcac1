"""Comparison of two runs on the same users: two experiments, or both candidate sets. Candidate lists may differ.

Within a run methods are compared on equal lists only (comparisons.py). Here the lists may differ, as those of sets A
and B do, so a difference is one of run and lists together."""

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.evaluation.contrasts import contrasts
from kitrec.evaluation.score_matrix import Column, ScoreMatrix
from kitrec.schemas.scores import METRICS

_USER = ("user_id", "target")
_INVARIANT = ("user_type", "core", "gt_has_metadata")  # properties that do not depend on the candidate list


def compare_runs(
    first: pl.DataFrame, second: pl.DataFrame, *, resamples: int, permutations: int, seed: int
) -> pl.DataFrame:
    """Return second minus first, user by user, for each method, kind and metric that both scores tables have."""
    ranked = [table.select("method", "kind").unique() for table in (first, second)]
    shared = ranked[0].join(ranked[1], on=["method", "kind"])
    if shared.is_empty():
        raise InputError("the two runs have no method in common: nothing to compare")
    parts = [
        _compare_method(first, second, method, kind, resamples, permutations, seed)
        for method, kind in shared.sort("method", "kind").iter_rows()
    ]
    return pl.concat(parts)


def _compare_method(
    first: pl.DataFrame, second: pl.DataFrame, method: str, kind: str, resamples: int, permutations: int, seed: int
) -> pl.DataFrame:
    runs = [table.filter(method=method, kind=kind) for table in (first, second)]
    shared = runs[0].join(runs[1], on=_USER, suffix="_second", validate="1:1").sort(_USER)
    mismatched = shared.filter(pl.any_horizontal(pl.col(name) != pl.col(f"{name}_second") for name in _INVARIANT))
    if shared.is_empty() or mismatched.height:
        raise InputError(
            f"{method} ({kind}): {mismatched.height} of {shared.height} users of the same name are not the same users; "
            "both runs must come from the same data, world and seed"
        )
    names = [*METRICS, *(f"{metric}_second" for metric in METRICS)]
    columns = tuple(Column(method, kind, name) for name in names)
    m = ScoreMatrix(shared.select("record_id", *_USER), columns, shared.select(names).to_numpy())
    weights = np.vstack([-np.eye(len(METRICS)), np.eye(len(METRICS))])
    tested = contrasts(m, weights, resamples=resamples, permutations=permutations, seed=seed)
    means = m.values.mean(axis=0)
    labels = {
        "method": method,
        "kind": kind,
        "metric": METRICS,
        "left_out": sum(table.height for table in runs) - 2 * shared.height,
        "first": means[: len(METRICS)],
        "second": means[len(METRICS) :],
    }
    return pl.concat([pl.DataFrame(labels), tested], how="horizontal")
