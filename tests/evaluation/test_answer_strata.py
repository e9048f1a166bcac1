"""What answers hold, by user type, domain and core: against group-bys of the same made rows, and scipy's bootstrap."""

from functools import partial

import numpy as np
import polars as pl
import pytest
from scipy.stats import bootstrap

from kitrec.core.domains import KITREC
from kitrec.evaluation.answer_means import answer_means
from kitrec.evaluation.bootstrap import Resampling
from kitrec.evaluation.calibration import errors_by_method, stated_confidence
from kitrec.evaluation.perplexity import perplexities
from kitrec.evaluation.strata import all_and_by_stratum, with_strata
from tests.evaluation.made_records import made_records

USERS = 120
DRAWN = Resampling(2000, seed=3)
LABELS = {1: "1", 2: "2", 3: "3", 4: "4", 7: "5-9", 12: "10+"}
COLUMNS = {"domain": "target", "core": "label", "user_type": "user_type"}


@pytest.fixture
def records() -> pl.DataFrame:
    types, cores = list(KITREC.user_types), list(LABELS)
    made = made_records([[f"I{k}", f"J{k}"] for k in range(USERS)], [f"I{k}" for k in range(USERS)])
    return made.with_columns(
        user_type=pl.Series([types[k % 9] for k in range(USERS)]),
        target=pl.Series([KITREC.user_types[types[k % 9]].target for k in range(USERS)]),
        core=pl.Series([cores[k % 6] for k in range(USERS)], dtype=pl.Int32),
        gt_rating=pl.Series([float(1 + k % 5) for k in range(USERS)]),
    )


@pytest.fixture
def answers(records) -> pl.DataFrame:
    """Written answers: some without a confidence, every seventh one correct."""
    rng = np.random.default_rng(5)
    return pl.DataFrame(
        {
            "method": "m",
            "kind": "written",
            "record_id": records["record_id"],
            "item_ids": [[f"I{k}"] if k % 7 == 0 else [f"J{k}"] for k in range(USERS)],
            "confidence": [None if k % 10 == 0 else float(v) for k, v in enumerate(rng.integers(2, 21, USERS) / 2)],
            "thinking_characters": rng.integers(0, 3000, USERS),
            "history_mentions": rng.integers(0, 4, USERS),
        }
    )


def labelled(table: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """The rows with their strata, by a join of this test's own."""
    labels = records.with_columns(label=pl.col("core").replace_strict(LABELS, return_dtype=pl.String))
    return table.join(labels, on="record_id", how="inner")


def test_confidence_errors_are_those_of_a_group_by(records, answers):
    metrics = errors_by_method(stated_confidence(answers, records), DRAWN)["m"]
    rows = labelled(answers, records).with_columns(gap=pl.col("confidence") / 2 - pl.col("gt_rating"))
    rows = rows.with_columns(affine=1 + (pl.col("confidence") - 1) * 4 / 9 - pl.col("gt_rating"))
    for stratum, column in COLUMNS.items():
        assert sorted(metrics[stratum]) == rows[column].unique().sort().to_list()
        for (member,), part in rows.group_by(column):
            errors, rated = metrics[stratum][member], part.drop_nulls("confidence")
            assert errors["n"] == part.height and errors["coverage"] == round(rated.height / part.height, 4)
            for group, chosen in (
                ("all", rated),
                ("correct", rated.filter(pl.col("item_ids").list.first() == pl.col("gt_item_id"))),
            ):
                assert errors[group]["n"] == chosen.height
                for scale, gap in (("halved", chosen["gap"]), ("affine", chosen["affine"])):
                    found = errors[group][scale]
                    assert found["mae"] == pytest.approx(gap.abs().mean(), abs=1e-6)
                    assert found["rmse"] == pytest.approx((gap**2).mean() ** 0.5, abs=1e-6)
                    assert found["mae_low"] <= found["mae"] <= found["mae_high"]
                    assert found["rmse_low"] <= found["rmse"] <= found["rmse_high"]
    overall = rows.drop_nulls("confidence")["gap"]
    assert metrics["all"]["halved"]["mae"] == pytest.approx(overall.abs().mean(), abs=1e-6)


def test_lengths_and_references_are_those_of_a_group_by(records, answers):
    measure = partial(answer_means, columns=("thinking_characters", "history_mentions"), resampling=DRAWN)
    metrics = all_and_by_stratum(with_strata(answers, records), measure)
    rows = labelled(answers, records)
    parts = [(metrics, rows)]
    parts += [(metrics[s][m], part) for s, column in COLUMNS.items() for (m,), part in rows.group_by(column)]
    assert len(parts) == 1 + 2 + 6 + 9
    for numbers, part in parts:
        assert numbers["n"] == part.height
        for name in ("thinking_characters", "history_mentions"):
            found = numbers[name]
            assert found["mean"] == pytest.approx(part[name].mean(), abs=1e-4)
            assert found["share"] == pytest.approx((part[name] > 0).mean(), abs=1e-4)
            assert found["low"] <= found["mean"] <= found["high"]


def test_perplexities_are_token_weighted_in_every_stratum(records):
    rng = np.random.default_rng(6)
    tokens = rng.integers(1, 60, USERS)
    writer, base = (-tokens * rng.uniform(low, low + 1, USERS) for low in (0.2, 1.0))
    scored = pl.DataFrame(
        {
            "record_id": records["record_id"],
            "tokens": pl.Series([None if k % 8 == 0 else int(t) for k, t in enumerate(tokens)], dtype=pl.Int32),
            "loglik_writer": [None if k % 8 == 0 else v for k, v in enumerate(writer)],
            "loglik_base": [None if k % 8 == 0 else v for k, v in enumerate(base)],
        }
    )
    metrics = all_and_by_stratum(with_strata(scored, records), partial(perplexities, resampling=DRAWN))
    rows = labelled(scored, records)
    for stratum, column in COLUMNS.items():
        for (member,), part in rows.group_by(column):
            found = metrics[stratum][member]
            assert found["n"] == part["tokens"].count() and found["tokens"] == part["tokens"].sum()
            for name in ("writer", "base"):
                expected = np.exp(-part[f"loglik_{name}"].sum() / part["tokens"].sum())
                assert found[name] == pytest.approx(expected, abs=1e-4)
                assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"]
    kept = np.arange(USERS) % 8 > 0

    def ratio(values, weights, axis=-1):
        return values.sum(axis) / weights.sum(axis)

    data = (-writer[kept], tokens[kept].astype(float))
    by_scipy = bootstrap(data, ratio, paired=True, n_resamples=4000, method="BCa", rng=np.random.default_rng(1))
    low, high = np.exp(by_scipy.confidence_interval)
    assert metrics["writer_low"] == pytest.approx(low, abs=0.02) and metrics["writer_high"] == pytest.approx(
        high, abs=0.02
    )


def test_a_mean_has_the_interval_that_scipy_gives_it(records, answers):
    metrics = answer_means(
        with_strata(answers, records), "all", "all", columns=("thinking_characters",), resampling=Resampling(9000, 1)
    )
    values = (answers["thinking_characters"].to_numpy().astype(float),)
    interval = bootstrap(values, np.mean, n_resamples=9000, rng=np.random.default_rng(2)).confidence_interval
    found = metrics["thinking_characters"]
    assert (found["low"], found["high"]) == pytest.approx(tuple(interval), rel=0.015)


def test_a_user_of_both_targets_is_resampled_with_both(records, answers):
    """The same answers of half as many users: their interval is about as wide as that of half as many answers."""
    table = with_strata(answers, records)
    widths = []
    for owners in ([f"U{k}" for k in range(USERS)], [f"U{k // 2}" for k in range(USERS)]):
        values = pl.Series([float(k // 2) for k in range(USERS)])  # equal within a pair
        rows = table.with_columns(user_id=pl.Series(owners), thinking_characters=values)
        found = answer_means(rows, "all", "all", columns=("thinking_characters",), resampling=DRAWN)[
            "thinking_characters"
        ]
        widths.append(found["high"] - found["low"])
    assert widths[1] / widths[0] == pytest.approx(2**0.5, rel=0.1)
