"""Verdicts as numbers: means with BCa intervals by resampled users, failures, agreement, what the replies cost."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl

from kitrec.core.randomness import generator
from kitrec.evaluation.bootstrap import Users, accelerations, intervals, resampled_means
from kitrec.llm_judge.agreement import agreement
from kitrec.llm_judge.judging import Judged
from kitrec.llm_judge.sampling import Sample
from kitrec.llm_judge.verdicts import FAILURES
from kitrec.openai_client.replies import Reply
from kitrec.schemas.verdicts import RATINGS

LEVELS = range(1, 11)
OUTCOMES = (-1, 0, 1)
SUBJECT = ["record_id", "user_id"]


def summarise(sample: Sample, single: Judged, pairs: Judged, *, resamples: int, seed: int) -> dict[str, Any]:
    """metrics/judge.json."""
    return {
        "records": len(sample.records),
        "too_few": sample.short,
        "methods": of_methods(single.table, sample, resamples=resamples, seed=seed),
        "pairs": of_pairs(pairs.table, resamples=resamples, seed=seed),
        "spent": _spent((single.replies | pairs.replies).values()),
    }


def of_methods(verdicts: pl.DataFrame, sample: Sample, *, resamples: int, seed: int) -> dict[str, Any]:
    """By method: how many rationales, and of each rating its mean, interval and agreement."""
    found: dict[str, Any] = {}
    for (name,), own in verdicts.partition_by("method", as_dict=True, maintain_order=True).items():
        values = {rating: _by_subject(own, rating) for rating in RATINGS}
        rng = generator(seed, "judge", str(name))
        found[str(name)] = {
            "n": values["overall"].drop_nulls("mean").height,
            "judgeable": sample.judgeable[str(name)],
            "sentences_removed": sample.removed(str(name)),
            "failures": _failures(own),
            **_means(values, resamples, rng),
            "agreement": {rating: agreement(_repeats(table), LEVELS) for rating, table in values.items()},
        }
    return found


def of_pairs(verdicts: pl.DataFrame, *, resamples: int, seed: int) -> dict[str, Any]:
    """By pair: wins that hold in both orders, and `advantage`, the mean of +1, 0 and -1 over them."""
    found: dict[str, Any] = {}
    for (one, two), own in verdicts.partition_by("method", "other", as_dict=True, maintain_order=True).items():
        outcomes = _outcomes(own)
        both = outcomes.drop_nulls("advantage")
        table = _by_subject(outcomes, "advantage")
        decided = own.filter(pl.col("winner") != "tie")
        found[f"{one} against {two}"] = {
            "n": both.height,
            "wins": _share(both["advantage"] == 1),
            "losses": _share(both["advantage"] == -1),
            "same_in_both_orders": _share(both["given"] == both["swapped"]),
            "first_place_wins": _share((decided["winner"] == "other") == decided["swapped"]),
            **_means({"advantage": table}, resamples, generator(seed, "judge", str(one), str(two))),
            "failures": _failures(own),
            "agreement": agreement(_repeats(table), OUTCOMES),
        }
    return found


def _by_subject(verdicts: pl.DataFrame, column: str) -> pl.DataFrame:
    """One row per record: its user, its values by repeat (null: none), their mean."""
    rows = verdicts.sort("repeat").group_by(SUBJECT, maintain_order=True)
    return rows.agg(pl.col(column).cast(pl.Float64).alias("values"), pl.col(column).mean().alias("mean"))


def _repeats(by_subject: pl.DataFrame) -> np.ndarray:
    """[subjects, repeats], NaN where there is no value."""
    rows = by_subject["values"].to_list()
    return np.array([[np.nan if value is None else value for value in row] for row in rows]).reshape(len(rows), -1)


def _means(values: Mapping[str, pl.DataFrame], resamples: int, rng: np.random.Generator) -> dict[str, Any]:
    """Mean and interval of every column over records that have values; a single user has no interval."""
    found = {}
    for name, table in values.items():
        known = table.drop_nulls("mean").group_by("user_id", maintain_order=True)
        by_user = known.agg(pl.col("mean").sum().alias("sum"), pl.len().alias("count"))
        mean = low = high = None
        if by_user.height:
            users = Users(by_user["sum"].to_numpy()[:, None], by_user["count"].to_numpy())
            means = users.means()
            mean = float(means[0])
        if by_user.height > 1:
            bounds = intervals(means, resampled_means(users, resamples, rng), accelerations(users.without_each()))
            low, high = (float(bound[0]) for bound in bounds)
        numbers = {"mean": mean, "low": low, "high": high}
        found[name] = {key: None if number is None else round(number, 4) for key, number in numbers.items()}
    return found


def _outcomes(verdicts: pl.DataFrame) -> pl.DataFrame:
    """One row per record and repeat: who won in each order; +1 or -1 where both say so, null where one failed."""
    orders = [
        verdicts.filter(pl.col("swapped") == own).select(*SUBJECT, "repeat", pl.col("winner").alias(name))
        for name, own in (("given", False), ("swapped", True))
    ]
    joined = orders[0].join(orders[1], on=[*SUBJECT, "repeat"], maintain_order="left", validate="1:1")
    won = [((pl.col("given") == name) & (pl.col("swapped") == name)).cast(pl.Int32) for name in ("method", "other")]
    judged = pl.col("given").is_not_null() & pl.col("swapped").is_not_null()
    return joined.with_columns(advantage=pl.when(judged).then(won[0] - won[1]))


def _share(flags: pl.Series) -> float | None:
    mean = flags.mean()
    return None if mean is None else round(float(mean), 4)  # type: ignore[arg-type]  # a mean of flags is a number


def _failures(verdicts: pl.DataFrame) -> dict[str, int]:
    counts: Mapping[str, int] = dict(verdicts.drop_nulls("failure").group_by("failure").len().iter_rows())
    return {name: counts[name] for name in FAILURES if name in counts}


def _spent(replies: Iterable[Reply]) -> dict[str, Any]:
    """What the replies behind all verdicts cost, whenever they were paid."""
    own = list(replies)
    return {
        "replies": len(own),
        "prompt_tokens": sum(reply.prompt_tokens for reply in own),
        "completion_tokens": sum(reply.completion_tokens for reply in own),
        "money": round(sum(reply.cost for reply in own), 6),
        "models": sorted({reply.model for reply in own}),
    }
