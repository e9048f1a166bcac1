import numpy as np
import polars as pl
import pytest

from kitrec.core.errors import InputError
from kitrec.evaluation.run_comparison import compare_runs
from tests.evaluation.test_analysis import USERS, hits, scores


def test_users_are_joined_and_the_difference_is_second_minus_first():
    first = scores({"m": hits(1, 0.2), "only_here": hits(2, 0.2)})
    second = scores({"m": np.maximum(hits(1, 0.2), hits(3, 0.3))}).with_columns(candidate_hash=pl.lit("other lists"))
    second = second.sample(fraction=1, shuffle=True, seed=1).filter(pl.col("record_id") != "U0007")
    result = compare_runs([first], [second], resamples=200, permutations=200, seed=1)
    assert set(result["method"]) == {"m"} and (result["n"] == USERS - 1).all() and (result["left_out"] == 1).all()
    row = result.filter(metric="mrr").row(0, named=True)
    assert (
        row["difference"] == pytest.approx(row["second"] - row["first"])
        and row["low"] > 0
        and row["p_permutation"] < 0.001
    )


def test_runs_without_a_common_method_or_user_are_refused():
    first = scores({"m": hits(1, 0.2)})
    with pytest.raises(InputError, match="no method in common"):
        compare_runs([first], [scores({"n": hits(1, 0.2)})], resamples=100, permutations=100, seed=1)
    unknown_users = first.with_columns(user_id=pl.lit("X") + pl.col("user_id"))
    with pytest.raises(InputError, match="0 of 0 users of the same name"):
        compare_runs([first], [unknown_users], resamples=100, permutations=100, seed=1)
    changed = first.with_columns(core=pl.when(pl.col("core") == "1").then(pl.lit("2")).otherwise("core"))
    with pytest.raises(InputError, match="40 of 240 users of the same name are not the same"):
        compare_runs([first], [changed], resamples=100, permutations=100, seed=1)
