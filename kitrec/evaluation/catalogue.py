"""Numbers over all items beside those over candidates, freed of popularity, and where they change the methods' order.

Held-out items are what people came across, mostly popular items. If an item that n training users had is observed with
a propensity p proportional to (n + 1)^e, the self-normalised inverse-propensity estimate of a metric c over records is
    sum_r c_r / p_r  /  sum_r 1 / p_r
(Swaminathan and Joachims, NeurIPS 2015). Exponents e: 0.5 as in Saito et al. (WSDM 2020), and 1.25 = (gamma + 1) / 2
with gamma = 1.5 as in Yang et al. (RecSys 2018); 0 is the plain mean. A larger one rests on fewer records: their
effective number is (sum_r 1 / p_r)^2 / sum_r 1 / p_r^2 (Kish 1965). Intervals: BCa by resampled users. Orders of
methods are compared by Kendall's tau-b. Shapes: R records, K columns (a metric of a method on a list)."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from kitrec.core.ranking_metrics import expected_metric
from kitrec.evaluation.bootstrap import Resampling, user_sums

METRICS = ("hit@10", "ndcg@10")
ORDER_METRIC = "ndcg@10"
CATALOGUE = "catalogue"
EXPONENTS = {"observed": 0.0, "debiased_0.5": 0.5, "debiased_1.25": 1.25}
_KEY = ["user_id", "target"]


@dataclass(frozen=True)
class Lists:
    """The metrics of every method on every list, for the same records in the same order."""

    users: np.ndarray  # [R]
    popularity: np.ndarray  # [R] training users of each held-out item
    values: dict[tuple[str, str, str], np.ndarray]  # list, method, metric -> [R]

    def methods(self, which: str) -> list[str]:
        """Return the methods that rank a list, sorted."""
        return sorted({method for name, method, _ in self.values if name == which})


def aligned_lists(ranks: pl.DataFrame, scores: Mapping[str, pl.DataFrame], popularity: pl.DataFrame) -> Lists:
    """Return the records of `ranks` (all items), and what `scores` (candidates, by list) say of the same ones."""
    records = ranks.select(*_KEY, "gt_item_id").unique(_KEY).sort(_KEY)
    for table in scores.values():
        records = records.join(table.select(_KEY).unique(), on=_KEY, how="semi", maintain_order="left")
    full = ranks.with_columns(
        pl.Series(metric, expected_metric(metric, ranks["better"].to_numpy(), ranks["equal"].to_numpy()))
        for metric in METRICS
    )
    tables = {**{name: table.filter(kind="scored") for name, table in scores.items()}, CATALOGUE: full}
    values: dict[tuple[str, str, str], np.ndarray] = {}
    for name, table in tables.items():
        for (method,), rows in table.group_by("method"):
            of_records = records.join(rows.select(*_KEY, *METRICS), on=_KEY, how="left", maintain_order="left")
            values |= {(name, str(method), metric): of_records[metric].to_numpy() for metric in METRICS}
    counted = records.join(popularity, left_on="gt_item_id", right_on="item_id", how="left", maintain_order="left")
    return Lists(records["user_id"].to_numpy(), counted["users"].fill_null(0).to_numpy(), values)


def catalogue_metrics(lists: Lists, resampling: Resampling) -> dict[str, Any]:
    """Return every method's means on every list, plain and debiased, how the orders agree, and the pairs that turn."""
    means: dict[str, Any] = {}
    effective, columns = {}, sorted(lists.values)
    table = np.stack([lists.values[column] for column in columns], axis=1)
    for weighting, exponent in EXPONENTS.items():
        weights = (lists.popularity + 1.0) ** -exponent
        effective[weighting] = round(float(weights.sum() ** 2 / np.square(weights).sum()), 1)
        sums = user_sums(lists.users, table, weights)
        bounds = resampling.means_and_intervals(sums, CATALOGUE, weighting)
        for (which, method, metric), mean, low, high in zip(columns, *(each.tolist() for each in bounds), strict=True):
            figures = means.setdefault(method, {}).setdefault(which, {}).setdefault(weighting, {})
            figures |= {metric: round(mean, 6), f"{metric}_low": round(low, 6), f"{metric}_high": round(high, 6)}
    candidates = [which for which in dict.fromkeys(name for name, *_ in columns) if which != CATALOGUE]
    return {
        "records": len(lists.users),
        "effective_records": effective,
        "methods": means,
        "kendall_tau": _agreement_of_orders([row for row in means.values() if len(row) == len(candidates) + 1]),
        "turned_pairs": {which: _turned_pairs(lists, which, resampling) for which in candidates},
    }


def _agreement_of_orders(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return tau-b of every two columns, over the methods on every list; none of fewer than two methods."""
    if len(rows) < 2:
        return {}
    columns = [(which, "observed") for which in rows[0]]
    columns += [(CATALOGUE, weighting) for weighting in EXPONENTS if weighting != "observed"]
    orders = {f"{which} {how}": [row[which][how][ORDER_METRIC] for row in rows] for which, how in columns}
    pairs = {f"{a} ~ {b}": stats.kendalltau(orders[a], orders[b]).statistic for a, b in combinations(orders, 2)}
    return {name: round(float(tau), 4) for name, tau in pairs.items() if np.isfinite(tau)}


def _turned_pairs(lists: Lists, which: str, resampling: Resampling) -> dict[str, Any]:
    """Return the pairs of methods whose order among candidates is not that among all items, with both differences."""
    ranked = [name for name in lists.methods(CATALOGUE) if (which, name, ORDER_METRIC) in lists.values]
    pairs = list(combinations(ranked, 2))
    if not pairs:
        return {}
    bounds = {}
    for name in (which, CATALOGUE):
        values = [lists.values[name, a, ORDER_METRIC] - lists.values[name, b, ORDER_METRIC] for a, b in pairs]
        sums = user_sums(lists.users, np.stack(values, axis=1))
        bounds[name] = np.stack(resampling.means_and_intervals(sums, "turned", name), axis=1).round(6)
    turned = np.flatnonzero(bounds[which][:, 0] * bounds[CATALOGUE][:, 0] < 0)
    names = ("difference", "low", "high")
    return {
        " – ".join(pairs[k]): {name: dict(zip(names, bounds[name][k].tolist(), strict=True)) for name in bounds}
        for k in turned.tolist()
    }
