import numpy as np
import polars as pl
import pytest
from scipy import stats

from kitrec.core.errors import InputError
from kitrec.evaluation.run_comparison import OtherUsersError, compare_runs, pair_runs, run_differences
from kitrec.evaluation.score_matrix import score_matrix
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


DRAWN = {"resamples": 2000, "permutations": 2000, "seed": 1}


def made_sides() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Two runs: `better` gains hits, `same` changes nothing; the second lacks a user and has another order of rows."""
    same = hits(4, 0.3)
    first = scores({"better": hits(1, 0.2), "only_here": hits(2, 0.2), "same": same})
    second = scores({"better": np.maximum(hits(1, 0.2), hits(3, 0.1)), "same": same})
    return first, second.sample(fraction=1, shuffle=True, seed=1).filter(pl.col("record_id") != "U0007")


def test_all_rankings_at_once_have_the_numbers_of_each_by_itself():
    first, second = made_sides()
    table = run_differences(pair_runs(score_matrix(first), score_matrix(second)), **DRAWN)
    single = compare_runs([first], [second], **DRAWN)
    columns = ["method", "kind", "metric", "first", "second", "n", "difference", "low", "high", "p_permutation"]
    assert table.select(columns).equals(single.select(columns))
    assert dict(table.select("method", "equal").iter_rows()) == {"better": False, "same": True}


def test_a_difference_its_interval_and_p_are_those_of_numpy_and_scipy():
    first, second = made_sides()
    pair = pair_runs(score_matrix(first), score_matrix(second))
    chosen = (pair.first.records["target"] == "movies").to_numpy()
    row = run_differences(pair.select(chosen), **DRAWN).filter(method="better", metric="mrr").row(0, named=True)
    by_user = [
        dict(table.filter(method="better", target="movies").select("user_id", "mrr").iter_rows())
        for table in (first, second)
    ]
    differences = np.array([by_user[1][user] - by_user[0][user] for user in by_user[1]])
    assert row["n"] == len(differences) == chosen.sum() and row["difference"] == pytest.approx(differences.mean())
    flipped = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=5000, rng=1)
    assert row["p_permutation"] == pytest.approx(flipped.pvalue, abs=0.01)
    interval = stats.bootstrap((differences,), np.mean, n_resamples=5000, method="BCa", rng=1).confidence_interval
    assert (row["low"], row["high"]) == pytest.approx(tuple(interval), abs=0.015)


def test_other_users_are_counted_in_the_refusal():
    first, second = made_sides()
    changed = second.with_columns(core=pl.when(pl.col("core") == "1").then(pl.lit("2")).otherwise("core"))
    with pytest.raises(OtherUsersError) as refused:
        pair_runs(score_matrix(first), score_matrix(changed))
    assert (refused.value.others, refused.value.shared) == (40, 239)
    with pytest.raises(OtherUsersError) as refused:
        pair_runs(score_matrix(first), score_matrix(second.with_columns(user_id=pl.lit("X") + pl.col("user_id"))))
    assert refused.value.shared == 0


def test_runs_without_a_common_ranking_pair_with_no_column():
    pair = pair_runs(score_matrix(scores({"m": hits(1, 0.2)})), score_matrix(scores({"n": hits(1, 0.2)})))
    assert run_differences(pair, **DRAWN).is_empty() and len(pair.first.records) == USERS
