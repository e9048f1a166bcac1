"""Summary of verdicts: means with BCa intervals by resampled users, failures, agreement, cost of the replies."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl

from kitrec.core.randomness import generator
from kitrec.evaluation.bootstrap import UserSums, accelerations, intervals, resampled_means
from kitrec.llm_judge.agreement import agreement
from kitrec.llm_judge.judging import Verdicts
from kitrec.llm_judge.sampling import Sample
from kitrec.llm_judge.verdicts import FAILURES
from kitrec.openai_client.replies import Reply
from kitrec.schemas.verdicts import RATINGS

LEVELS = range(1, 11)
OUTCOMES = (-1, 0, 1)
SUBJECT = ["record_id", "user_id"]


def summarise(sample: Sample, single: Verdicts, pairs: Verdicts, *, resamples: int, seed: int) -> dict[str, Any]:
    """Return the contents of metrics/judge.json."""
    return {
        "records": len(sample.records),
        "too_few": sample.shortfalls,
        "methods": summarise_methods(single.table, sample, resamples=resamples, seed=seed),
        "pairs": summarise_pairs(pairs.table, resamples=resamples, seed=seed),
        "spent": _cost((single.replies | pairs.replies).values()),
    }


def summarise_methods(verdicts: pl.DataFrame, sample: Sample, *, resamples: int, seed: int) -> dict[str, Any]:
    """Return by method the number of rationales, and mean, interval and agreement of each rating."""
    by_method: dict[str, Any] = {}
    for (name,), rows in verdicts.partition_by("method", as_dict=True, maintain_order=True).items():
        values = {rating: _by_subject(rows, rating) for rating in RATINGS}
        rng = generator(seed, "judge", str(name))
        by_method[str(name)] = {
            "n": values["overall"].drop_nulls("mean").height,
            "judgeable": sample.judgeable[str(name)],
            "sentences_removed": sample.removed(str(name)),
            "failures": _failures(rows),
            **_means(values, resamples, rng),
            "agreement": {rating: agreement(_repeats(table), LEVELS) for rating, table in values.items()},
        }
    return by_method


def summarise_pairs(verdicts: pl.DataFrame, *, resamples: int, seed: int) -> dict[str, Any]:
    """Return by pair the share of wins that hold in both orders, and `advantage`, the mean of +1, 0 and -1."""
    by_pair: dict[str, Any] = {}
    for (first, second), rows in verdicts.partition_by("method", "other", as_dict=True, maintain_order=True).items():
        outcomes = _outcomes(rows)
        both = outcomes.drop_nulls("advantage")
        table = _by_subject(outcomes, "advantage")
        decided = rows.filter(pl.col("winner") != "tie")
        by_pair[f"{first} against {second}"] = {
            "n": both.height,
            "wins": _share(both["advantage"] == 1),
            "losses": _share(both["advantage"] == -1),
            "same_in_both_orders": _share(both["original"] == both["swapped"]),
            "first_position_wins": _share((decided["winner"] == "other") == decided["swapped"]),
            **_means({"advantage": table}, resamples, generator(seed, "judge", str(first), str(second))),
            "failures": _failures(rows),
            "agreement": agreement(_repeats(table), OUTCOMES),
        }
    return by_pair


def _by_subject(verdicts: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return one row per record: its user, its values by repeat (null if none), their mean."""
    rows = verdicts.sort("repeat").group_by(SUBJECT, maintain_order=True)
    return rows.agg(pl.col(column).cast(pl.Float64).alias("values"), pl.col(column).mean().alias("mean"))


def _repeats(by_subject: pl.DataFrame) -> np.ndarray:
    """Return values [subjects, repeats], NaN without a value."""
    rows = by_subject["values"].to_list()
    return np.array([[np.nan if value is None else value for value in row] for row in rows]).reshape(len(rows), -1)


def _means(values: Mapping[str, pl.DataFrame], resamples: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return mean and interval of every column over records with values; a single user has no interval."""
    means_by_name = {}
    for name, table in values.items():
        valued = table.drop_nulls("mean").group_by("user_id", maintain_order=True)
        by_user = valued.agg(pl.col("mean").sum().alias("sum"), pl.len().alias("count"))
        mean = low = high = None
        if by_user.height:
            users = UserSums(by_user["sum"].to_numpy()[:, None], by_user["count"].to_numpy())
            means = users.means()
            mean = float(means[0])
        if by_user.height > 1:
            bounds = intervals(
                means, resampled_means(users, resamples, rng), accelerations(users.leave_one_out_means())
            )
            low, high = (float(bound[0]) for bound in bounds)
        numbers = {"mean": mean, "low": low, "high": high}
        means_by_name[name] = {key: None if number is None else round(number, 4) for key, number in numbers.items()}
    return means_by_name


def _outcomes(verdicts: pl.DataFrame) -> pl.DataFrame:
    """Return per record and repeat the winner in each order and +1 or -1 if both agree; null if one failed."""
    orders = [
        verdicts.filter(pl.col("swapped") == swapped).select(*SUBJECT, "repeat", pl.col("winner").alias(name))
        for name, swapped in (("original", False), ("swapped", True))
    ]
    joined = orders[0].join(orders[1], on=[*SUBJECT, "repeat"], maintain_order="left", validate="1:1")
    won = [((pl.col("original") == name) & (pl.col("swapped") == name)).cast(pl.Int32) for name in ("method", "other")]
    both_valid = pl.col("original").is_not_null() & pl.col("swapped").is_not_null()
    return joined.with_columns(advantage=pl.when(both_valid).then(won[0] - won[1]))


def _share(flags: pl.Series) -> float | None:
    mean = flags.mean()
    return None if mean is None else round(float(mean), 4)  # type: ignore[arg-type]  # a mean of flags is a number


def _failures(verdicts: pl.DataFrame) -> dict[str, int]:
    counts: Mapping[str, int] = dict(verdicts.drop_nulls("failure").group_by("failure").len().iter_rows())
    return {name: counts[name] for name in FAILURES if name in counts}


def _cost(replies: Iterable[Reply]) -> dict[str, Any]:
    """Return the cost of the replies behind all verdicts, whenever they were paid."""
    counted = list(replies)
    return {
        "replies": len(counted),
        "prompt_tokens": sum(reply.prompt_tokens for reply in counted),
        "completion_tokens": sum(reply.completion_tokens for reply in counted),
        "money": round(sum(reply.cost for reply in counted), 6),
        "models": sorted({reply.model for reply in counted}),
    }
