"""Position bias: does a method choose by where a candidate stands in the list that it was shown?

Of every ranking, by position p = 1 … C in the order of the record's candidates:
    first choices   how many records put the candidate at p first; t candidates tied for it count 1 / t each, and
                    answers whose first item is invented or that name none are not counted
    Hit@1           mean (metrics.py) of the records whose held-out item stands at p
Lists are shuffled, so a method that ignores their order has, as null hypotheses of Pearson's chi-square tests,
    first choices   the same chance 1 / C at each position of a record's list (goodness of fit)
    Hit@1           the same share of hits wherever the held-out item stands (2 x C table of hits and misses)
Neighbouring positions are put together until each part expects five counts (Cochran 1954); w = sqrt(chi2 / n) is
Cohen's effect size (1988). Ties vary less than whole counts: their p is too large. A method that is shown no list (item
ids, popularity) cannot be biased: what its rows show is chance. Shapes: C positions of the longest list, G parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from kitrec.evaluation.scoring import join_records

EXPECTED = 5.0  # least expected count of a part of the positions
PARTS = 4  # of the list, to be read by people
_RANKING = ("method", "kind")


@dataclass(frozen=True)
class PositionCounts:
    """Counts by position [C]: held-out items, those that come first, first choices and how many chance expects."""

    n: np.ndarray
    hits: np.ndarray
    choices: np.ndarray
    expected: np.ndarray


Counts = dict[tuple[str, str], PositionCounts]  # method, kind -> its counts


def position_counts(rankings: pl.DataFrame, records: pl.DataFrame, scores: pl.DataFrame) -> Counts:
    """Return the counts of every ranking; `scores` are those of these rankings."""
    hits = scores.select(*_RANKING, "record_id", "hit@1")
    joined = join_records(rankings, records).join(hits, on=[*_RANKING, "record_id"], how="left", maintain_order="left")
    last = int(records["candidate_ids"].list.len().to_numpy().max())
    kinds = joined.select(_RANKING).unique().sort(_RANKING).iter_rows()
    return {(method, kind): _counts(joined.filter(method=method, kind=kind), last) for method, kind in kinds}


def position_bias(sets: Mapping[str, Counts]) -> dict[str, Any]:
    """Return test set -> method -> kind -> both tests, and shares by parts of the list."""
    measures: dict[str, Any] = {which: {} for which in sets}
    for which, counts in sets.items():
        for (method, kind), c in counts.items():
            measures[which].setdefault(method, {})[kind] = {
                "n": int(c.n.sum()),
                "hit@1": hit_test(c),
                "first_choices": choice_test(c),
                "parts": _parts(c),
            }
    return measures


def positions_plot(sets: Mapping[str, Counts]) -> pl.DataFrame:
    """Return Hit@1 and the share of first choices at every position of every test set, for plots."""
    return pl.concat(
        pl.DataFrame(
            {
                "set": which,
                "method": method,
                "kind": kind,
                "position": np.arange(1, len(c.n) + 1),
                "n": c.n.astype(np.int64),
                "hit@1": _shares(c.hits, c.n).round(6),
                "first_choices": _shares(c.choices, c.choices.sum()).round(6),
            }
        )
        for which, counts in sets.items()
        for (method, kind), c in counts.items()
    ).with_columns(pl.col("hit@1", "first_choices").fill_nan(None))


def choice_test(c: PositionCounts) -> dict[str, float | int | None]:
    """Return the test of first choices against chance; `n` records named one."""
    n = float(c.choices.sum())
    parts = _parts_that_expect(c.expected)
    observed, expected = (np.add.reduceat(values, parts) for values in (c.choices, c.expected))
    result = stats.chisquare(observed, expected * (observed.sum() / expected.sum())) if len(parts) > 1 else None
    return _numbers(n, len(parts), result)


def hit_test(c: PositionCounts) -> dict[str, float | int | None]:
    """Return the test of hits and misses against one share of hits at all positions; `n` records."""
    n = float(c.n.sum())
    share = c.hits.sum() / n
    parts = _parts_that_expect(c.n * min(share, 1 - share))
    table = np.array([np.add.reduceat(values, parts) for values in (c.hits, c.n - c.hits)])
    result = stats.chi2_contingency(table, correction=False) if len(parts) > 1 else None
    return _numbers(n, len(parts), result)


def _counts(rows: pl.DataFrame, last: int) -> PositionCounts:
    """Count the rankings of one method and kind."""
    n, hits, choices, expected = np.zeros((4, last))
    columns = ("candidate_ids", "gt_item_id", "hit@1", "item_ids", "scores")
    for candidates, ground_truth, hit, items, scores in rows.select(columns).iter_rows():
        position = {item: k for k, item in enumerate(candidates)}
        n[position[ground_truth]] += 1
        hits[position[ground_truth]] += hit
        if first := [item for item in _first(items, scores) if item in position]:  # an invented item has no position
            choices[[position[item] for item in first]] += 1 / len(first)
            expected[: len(candidates)] += 1 / len(candidates)
    return PositionCounts(n, hits, choices, expected)


def _first(items: Sequence[str], scores: Sequence[float] | None) -> list[str]:
    """Return the items of the first place: one, several that are tied, or none where nothing is ranked."""
    if not scores:
        return list(items[:1])
    best = max(scores)
    return [item for item, score in zip(items, scores, strict=True) if score == best]


def _parts_that_expect(expected: np.ndarray) -> np.ndarray:
    """Return where parts of neighbouring positions begin, of which each expects EXPECTED counts or more."""
    starts, total = [0], 0.0
    for position, count in enumerate(expected):
        if total >= EXPECTED and expected[position:].sum() >= EXPECTED:
            starts.append(position)
            total = 0.0
        total += count
    return np.array(starts)


def _parts(c: PositionCounts) -> list[dict[str, Any]]:
    """Return the figures of PARTS parts of the list."""
    return [
        {
            "positions": f"{where[0] + 1}-{where[-1] + 1}",
            "n": int(c.n[where].sum()),
            "hit@1": _share(c.hits[where].sum(), c.n[where].sum()),
            "first_choices": _share(c.choices[where].sum(), c.choices.sum()),
        }
        for where in np.array_split(np.arange(len(c.n)), min(PARTS, len(c.n)))
    ]


def _numbers(n: float, parts: int, result: Any) -> dict[str, float | int | None]:
    """Return a test as numbers; without two parts that expect enough there is none."""
    if result is None:
        return {"n": round(n), "chi2": None, "df": None, "p": None, "w": None}
    chi2 = float(result.statistic)
    w = round((chi2 / n) ** 0.5, 6)
    return {"n": round(n), "chi2": round(chi2, 4), "df": parts - 1, "p": float(f"{result.pvalue:.3g}"), "w": w}


def _shares(values: np.ndarray, totals: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(values / totals)


def _share(value: float, total: float) -> float | None:
    return round(float(value / total), 6) if total else None
