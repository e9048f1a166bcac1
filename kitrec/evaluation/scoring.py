"""From rankings and records to every user's scores. It knows lists and truths, no models.

Shapes: R rankings, E entries of all their lists laid end to end."""

import numpy as np
import polars as pl

from kitrec.core.domains import core_label
from kitrec.core.errors import InputError
from kitrec.evaluation.metrics import MISSING, metrics
from kitrec.schemas.scores import SCORES


def score(rankings: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """The scores table of rankings; refuses lists made for other candidates, or not for every record."""
    if records.is_empty():
        raise InputError(
            "there is no test record to score: raise users.test, or look at the counts in metrics/data.json"
        )
    joined = with_records(rankings, records)
    better, equal = places(joined)
    cores = pl.Series("core", [core_label(n) for n in joined["core"].to_list()], dtype=pl.String)
    values = [pl.Series(name, array) for name, array in metrics(better, equal).items()]
    return joined.with_columns(cores, *values).select(*SCORES.columns)


def with_records(rankings: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Every ranking beside its record; refuses what `score` refuses."""
    joined = rankings.join(records, on="record_id", how="left", suffix="_record", maintain_order="left")
    _check(joined, records)
    return joined


def places(joined: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """g and e [R]: items strictly better than the truth, and items equal to it, the truth included."""
    length = joined["item_ids"].list.len().to_numpy().astype(np.int64)
    row = np.repeat(np.arange(joined.height), length)
    value = _values(joined, length)
    truth = (_laid_out(joined["item_ids"]) == joined["gt_item_id"].gather(row)).to_numpy()
    truth_value = np.full(joined.height, np.nan)
    truth_value[row[truth]] = value[truth]
    better = np.bincount(row, weights=value > truth_value[row], minlength=joined.height).astype(np.int64)
    equal = np.bincount(row, weights=value == truth_value[row], minlength=joined.height).astype(np.int64)
    return np.where(np.isnan(truth_value), MISSING, better), equal


def _values(joined: pl.DataFrame, length: np.ndarray) -> np.ndarray:
    """What orders the entries [E]: the scores where there are any, else the place in the list."""
    start = np.repeat(np.cumsum(length) - length, length)
    value = start - np.arange(len(start), dtype=np.float64)
    scored = np.repeat(joined["scores"].is_not_null().to_numpy(), length)
    value[scored] = _laid_out(joined["scores"].drop_nulls()).to_numpy()
    return value


def _laid_out(lists: pl.Series) -> pl.Series:
    """The entries of all lists end to end; an empty list adds nothing."""
    return lists.filter(lists.list.len() > 0).explode()


def _check(joined: pl.DataFrame, records: pl.DataFrame) -> None:
    """Every ranking belongs to one of the records and its candidates, every method covers all records."""
    strangers = joined.filter(pl.col("gt_item_id").is_null())
    if strangers.height:
        raise InputError(f"{strangers.height} rankings are of records not under test, e.g. {strangers['record_id'][0]}")
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
