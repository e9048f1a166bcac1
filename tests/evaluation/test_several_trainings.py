"""Several trainings of the same methods: alignment, both tests side by side, and methods that are no other ones."""

import numpy as np
import polars as pl
import pytest

from kitrec.core.errors import InputError
from kitrec.core.mean_tests import users_and_trainings
from kitrec.evaluation.bootstrap import Resampling
from kitrec.evaluation.params import Family
from kitrec.evaluation.repeats import align, pair_differences, repeat_comparisons, repeat_means
from kitrec.evaluation.run_comparison import compare_runs
from tests.evaluation.test_analysis import USERS, hits, scores

FAMILY = Family(kind="scored", metrics=["mrr"], pairs=[("a", "b")])
RESAMPLING = Resampling(200, 1)


def runs(a: list[np.ndarray], b: list[np.ndarray], owners: list[str] | None = None) -> list[pl.DataFrame]:
    return [scores({"a": first, "b": second}, owners=owners) for first, second in zip(a, b, strict=True)]


def test_means_and_spread_are_over_trainings_and_users_with_two_records_are_one():
    a = [hits(seed, 0.3) for seed in range(4)]
    owners = [f"T{k // 2}" for k in range(USERS)]
    trainings = align(runs(a, [values / 2 for values in a], owners=owners))
    assert trainings.by_user.shape[:2] == (4, USERS // 2)
    row = repeat_means(trainings, RESAMPLING).filter(method="a", metric="mrr").row(0, named=True)
    by_training = [values.mean() for values in a]
    assert row["mean"] == pytest.approx(np.mean(by_training)) and row["low"] < row["mean"] < row["high"]
    assert row["sd_trainings"] == pytest.approx(np.std(by_training, ddof=1))
    pairs = np.array(a).reshape(4, USERS // 2, 2).mean(axis=2)[:, :, None]
    both = users_and_trainings(pairs)
    assert (row["low_both"], row["high_both"]) == pytest.approx((both.low[0], both.high[0]))


def test_a_lucky_training_is_sure_for_users_alone_and_not_over_both_sources():
    b = [hits(seed, 0.2) for seed in range(4)]
    a = [np.maximum(b[0], hits(9, 0.5)), *b[1:]]
    compared = repeat_comparisons(align(runs(a, b)), FAMILY, permutations=500, resampling=RESAMPLING)
    row = compared.row(0, named=True)
    assert row["difference"] == pytest.approx(np.mean(a) - np.mean(b)) and row["n"] == USERS
    assert row["p_permutation"] < 1e-6 and row["low"] > 0
    assert row["p_users_and_trainings"] > 0.2 and row["low_both"] < 0 and row["p_holm"] == row["p_users_and_trainings"]


def test_a_method_that_is_another_one_renamed_gives_no_claim():
    a = [hits(seed, 0.3) for seed in range(3)]
    row = repeat_comparisons(align(runs(a, a)), FAMILY, permutations=200, resampling=RESAMPLING).row(0, named=True)
    assert row["difference"] == row["low"] == row["high"] == row["low_both"] == row["high_both"] == 0
    assert row["p_permutation"] == row["p_users_and_trainings"] == row["p_holm"] == 1


def test_trainings_of_other_data_or_methods_are_refused_with_the_way_out():
    first = scores({"a": hits(1, 0.3), "b": hits(2, 0.3)})
    other_lists = first.with_columns(candidate_hash=pl.lit("other"))
    with pytest.raises(InputError, match=r"run 2 has other test users or candidates.*-S training_seed=1,2,3"):
        align([first, other_lists])
    with pytest.raises(InputError, match=r"run 2 has other methods than run 1 \(b\)"):
        align([first, first.filter(method="a")])
    with pytest.raises(InputError, match=r"evaluation\.family\.pairs: z without a scored ranking"):
        pair_differences(align([first, first]), Family(kind="scored", metrics=["mrr"], pairs=[("a", "z")]), ["mrr"])


def test_settings_with_several_trainings_each_are_compared_over_both_sources():
    first, second = [[scores({"m": hits(seed + shift, 0.3)}) for seed in range(3)] for shift in (0, 50)]
    drawn = {"resamples": 100, "permutations": 200, "seed": 1}
    row = compare_runs(first, second, **drawn).filter(metric="mrr").row(0, named=True)
    values = [np.stack([run["mrr"].to_numpy() for run in side])[:, :, None] for side in (first, second)]
    both = users_and_trainings(values[1], values[0])
    assert row["p_users_and_trainings"] == pytest.approx(both.p[0]) and row["difference"] == pytest.approx(
        both.difference[0]
    )
    assert row["second"] - row["first"] == pytest.approx(row["difference"]) and row["left_out"] == 0
    assert compare_runs(first[:1], second, **drawn)["p_users_and_trainings"].null_count() == 6
