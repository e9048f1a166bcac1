"""Scores of every user from rankings and records, whatever model made the rankings, and the hit rate at every rank.

    hit_rate_r = (1 / R) sum_i clip(r - g_i, 0, e_i) / e_i      g, e: as in metrics.py
A held-out item that is not in the list has rank infinity; its record counts in R, so a written curve ends below one.
Shapes: R rankings, E entries of all their lists laid end to end."""

import numpy as np
import polars as pl

from kitrec.core.domains import core_label
from kitrec.core.errors import InputError
from kitrec.evaluation.metrics import MISSING, metrics
from kitrec.schemas.scores import SCORES


def score(rankings: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Return the scores table of rankings; refuse lists of other candidates, and methods that miss records."""
    if records.is_empty():
        raise InputError(
            "there is no test record to score: raise users.test, or look at the counts in metrics/data.json"
        )
    joined = join_records(rankings, records)
    better, equal = count_better_and_equal(joined)
    cores = pl.Series("core", [core_label(n) for n in joined["core"].to_list()], dtype=pl.String)
    values = [pl.Series(name, array) for name, array in metrics(better, equal).items()]
    return joined.with_columns(cores, *values).select(*SCORES.columns)


def join_records(rankings: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Return every ranking joined with its record; refuse what `score` refuses."""
    joined = rankings.join(records, on="record_id", how="left", suffix="_record", maintain_order="left")
    _check(joined, records)
    return joined


def count_better_and_equal(joined: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return g and e [R]: items scored better than the held-out item, and items scored equal to it, itself included."""
    length = joined["item_ids"].list.len().to_numpy().astype(np.int64)
    row = np.repeat(np.arange(joined.height), length)
    value = _values(joined, length)
    is_ground_truth = (_flattened(joined["item_ids"]) == joined["gt_item_id"].gather(row)).to_numpy()
    gt_value = np.full(joined.height, np.nan)
    gt_value[row[is_ground_truth]] = value[is_ground_truth]
    better = np.bincount(row, weights=value > gt_value[row], minlength=joined.height).astype(np.int64)
    equal = np.bincount(row, weights=value == gt_value[row], minlength=joined.height).astype(np.int64)
    return np.where(np.isnan(gt_value), MISSING, better), equal


def _values(joined: pl.DataFrame, length: np.ndarray) -> np.ndarray:
    """Return the values that order the entries [E]: scores if there are any, otherwise positions in the list."""
    start = np.repeat(np.cumsum(length) - length, length)
    value = start - np.arange(len(start), dtype=np.float64)
    scored = np.repeat(joined["scores"].is_not_null().to_numpy(), length)
    value[scored] = _flattened(joined["scores"].drop_nulls()).to_numpy()
    return value


def _flattened(lists: pl.Series) -> pl.Series:
    """Return the entries of all lists end to end; an empty list adds none."""
    return lists.filter(lists.list.len() > 0).explode()


def _check(joined: pl.DataFrame, records: pl.DataFrame) -> None:
    """Raise unless every ranking is of a record and its candidates, and every method covers all records."""
    unknown = joined.filter(pl.col("gt_item_id").is_null())
    if unknown.height:
        raise InputError(f"{unknown.height} rankings are of records not under test, e.g. {unknown['record_id'][0]}")
    other = joined.filter(pl.col("candidate_hash") != pl.col("candidate_hash_record"))
    if other.height:
        raise InputError(
            f"{other.height} rankings of {other['method'][0]} were made for other candidates than the records hold "
            f"(e.g. {other['record_id'][0]}): infer again, results on different lists must not be compared"
        )
    short = joined.group_by("method", "kind").len().filter(pl.col("len") != records.height)
    if short.height:
        method, kind, count = short.row(0)
        raise InputError(
            f"{method} ({kind}) ranks {count} of {records.height} records: all methods must rank the same ones"
        )


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
