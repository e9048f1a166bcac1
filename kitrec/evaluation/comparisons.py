"""Pairwise comparisons of methods with the same kind of ranking, user by user; corrected within the declared family.

Corrected are the p-values of the permutation test of means, by Holm, Bonferroni and Benjamini-Hochberg (statsmodels).
Stars mark Holm's p below .05, .01 and .001. Written answers that were asked for different numbers of items are compared
in hit@1 alone: it reads the first item alone."""

from collections.abc import Collection, Mapping
from itertools import combinations

import numpy as np
import polars as pl
from statsmodels.stats.multitest import multipletests

from kitrec.core.errors import InputError
from kitrec.evaluation.contrasts import contrasts
from kitrec.evaluation.params import Family
from kitrec.evaluation.score_matrix import ScoreMatrix
from kitrec.schemas.comparisons import COMPARISONS

CORRECTIONS = {"p_holm": "holm", "p_bonferroni": "bonferroni", "p_bh": "fdr_bh"}
STARS = (0.001, 0.01, 0.05)


FIRST_ITEM = "hit@1"


def comparisons(
    m: ScoreMatrix, family: Family, *, answer_items: Mapping[str, int], resamples: int, permutations: int, seed: int
) -> pl.DataFrame:
    """Return the comparisons table; `answer_items` is the number of items that each written method was asked for."""
    pairs = _pairs(m, family, answer_items)
    if not pairs:
        return pl.DataFrame(schema=dict(COMPARISONS.columns))
    first, second = (np.array(side) for side in zip(*pairs, strict=True))
    weights = np.zeros((len(m.columns), len(pairs)))
    weights[first, np.arange(len(pairs))], weights[second, np.arange(len(pairs))] = 1, -1
    tested = contrasts(m, weights, resamples=resamples, permutations=permutations, seed=seed)
    means = m.user_sums().means()
    labels = {
        "kind": [m.columns[k].kind for k in first],
        "metric": [m.columns[k].metric for k in first],
        "method": [m.columns[k].method for k in first],
        "other": [m.columns[k].method for k in second],
        "mean": means[first],
        "other_mean": means[second],
    }
    table = pl.concat([pl.DataFrame(labels), tested], how="horizontal")
    return _corrected(table, family).cast(pl.Schema(COMPARISONS.columns)).select(*COMPARISONS.columns)


def requested_items(rankings: pl.DataFrame) -> dict[str, int]:
    """Return method -> items that its written answers were asked for, as its rankings state."""
    written = rankings.filter(pl.col("kind") == "written").select("method", "answer_items").drop_nulls().unique()
    return dict(written.iter_rows())


def _pairs(m: ScoreMatrix, family: Family, answer_items: Mapping[str, int]) -> list[tuple[int, int]]:
    """Return column indices of all pairs; a declared pair keeps its order, any other one is ordered by name."""
    metrics = list(dict.fromkeys(c.metric for c in m.columns))
    pairs = []
    methods = {kind: sorted({c.method for c in m.columns if c.kind == kind}) for kind in {c.kind for c in m.columns}}
    _check(family.pairs, methods.get(family.kind, []), family.kind)
    for kind in sorted(methods):
        declared = {frozenset(pair): pair for pair in family.pairs} if kind == family.kind else {}
        for both in combinations(methods[kind], 2):
            first, second = declared.get(frozenset(both), both)
            equal = kind != "written" or answer_items.get(first) == answer_items.get(second)
            pairs += [
                (m.column_index(first, kind, metric), m.column_index(second, kind, metric))
                for metric in (metrics if equal else [FIRST_ITEM])
            ]
    return pairs


def _check(declared: Collection[tuple[str, str]], methods: list[str], kind: str) -> None:
    unknown = sorted({name for pair in declared for name in pair} - set(methods))
    if unknown:
        raise InputError(
            f"evaluation.family.pairs: {', '.join(unknown)} has no {kind} ranking among those evaluated "
            f"({', '.join(methods)}); add it to evaluation.methods, or take the pair out"
        )


def _corrected(table: pl.DataFrame, family: Family) -> pl.DataFrame:
    """Add corrected p-values and stars to the declared comparisons."""
    names = {tuple(pair) for pair in family.pairs}
    declared = np.array(
        [
            row["kind"] == family.kind and row["metric"] in family.metrics and (row["method"], row["other"]) in names
            for row in table.select("kind", "metric", "method", "other").iter_rows(named=True)
        ]
    )
    columns = {"declared": pl.Series(declared)}
    p = table["p_permutation"].to_numpy()[declared]
    for name, method in CORRECTIONS.items():
        values = np.full(table.height, np.nan)
        if declared.any():
            values[declared] = multipletests(p, method=method)[1]
        columns[name] = pl.Series(values).fill_nan(None)
    stars = ["" if value is None else "*" * sum(value < limit for limit in STARS) for value in columns["p_holm"]]
    return table.with_columns(**columns, stars=pl.Series(stars, dtype=pl.String))
