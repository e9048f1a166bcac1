"""The comparison of two students: tests over users and over seeds, degenerate twins, ranks counted by hand."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from kitrec.core.ranking_metrics import mean_metrics
from kitrec.distillation.comparison import candidate_ranks, compare, compare_on_candidates, user_ndcg
from kitrec.recommenders.ranking.full import ranks
from kitrec.recommenders.sequence_training import Validation
from tests.recommenders.made_models import made_model, made_sequences


def test_the_mean_of_the_users_is_the_ndcg_of_the_ranking():
    model, sequences = made_model("sasrec"), made_sequences(60, seed=2)
    histories = sequences.take(np.flatnonzero(sequences.lengths > 1))
    gains = user_ndcg(model, Validation(histories.without_last(), histories.last()), 20)
    better, equal = ranks(model, histories.without_last(), histories.last())
    assert gains.mean() == pytest.approx(mean_metrics(better, equal, 20)["ndcg@20"])
    untied = np.where((equal == 1) & (better < 20), 1 / np.log2(better + 2), 0)
    assert np.allclose(gains[equal == 1], untied[equal == 1])


def test_over_users_alone_it_is_the_permutation_test_and_one_seed_has_no_other():
    rng = np.random.default_rng(0)
    baseline, distilled = rng.random((3, 50)), rng.random((3, 50)) + 0.1
    comparison = compare(baseline, distilled)
    reference = stats.ttest_rel(distilled.mean(0), baseline.mean(0))
    assert comparison.p_permutation == pytest.approx(reference.pvalue, abs=0.003)
    assert comparison.relative_gain == pytest.approx(distilled.mean() / baseline.mean() - 1)
    assert comparison.gain_by_seed == pytest.approx((distilled.mean(1) / baseline.mean(1) - 1).tolist())
    assert (comparison.users, comparison.trainings) == (50, 3) and comparison.low < comparison.difference
    one = compare(baseline[:1], distilled[:1])
    interval = stats.ttest_rel(distilled[0], baseline[0]).confidence_interval(0.95)
    assert one.metrics()["p_users_and_trainings"] is None and one.p == one.p_permutation
    assert (one.low, one.high) == pytest.approx((interval.low, interval.high))


def test_a_lucky_seed_is_sure_for_users_alone_and_not_over_both_sources():
    """Of five seeds one is far better on all 300 users: users agree on these trainings, not on others."""
    rng = np.random.default_rng(3)
    baseline = rng.random((5, 300))
    distilled = baseline + np.array([0.5, 0, 0, 0, 0])[:, None] + 0.05 * rng.normal(size=(5, 300))
    comparison = compare(baseline, distilled)
    assert comparison.p_permutation < 1e-9 and comparison.p_users_and_trainings > 0.3
    assert comparison.low < 0 < comparison.high


def test_a_user_with_two_records_is_one_unit():
    rng = np.random.default_rng(1)
    baseline, distilled = rng.random((2, 40)), rng.random((2, 40))
    twice = [np.repeat(values, 2, axis=1) for values in (baseline, distilled)]
    owners = [f"u{row // 2}" for row in range(80)]
    assert compare(*twice, owners=owners) == compare(baseline, distilled, owners=[f"u{row}" for row in range(40)])


def test_there_is_no_relative_gain_over_a_baseline_without_hits():
    comparison = compare(np.zeros((2, 9)), np.full((2, 9), 0.2) + np.arange(9) / 100)
    assert comparison.relative_gain is None and comparison.metrics()["relative_gain"] is None
    assert comparison.gain_by_seed == [None, None] and comparison.p_permutation < 0.01


def test_a_student_equal_to_its_twin_gives_no_claim():
    """A teacher of weight 0: the same scores in every seed, among all items and among the candidates."""
    same = np.random.default_rng(1).random((2, 30))
    comparison = compare(same, same)
    assert (comparison.difference, comparison.low, comparison.high, comparison.relative_gain) == (0, 0, 0, 0)
    assert comparison.p_permutation == comparison.p_users_and_trainings == 1
    scores = np.random.default_rng(2).random((3, 12, 4)).tolist()
    for numbers in compare_on_candidates(scores, scores, records(12), seed=1).values():
        assert numbers["difference"] == numbers["low"] == numbers["high"] == 0
        assert numbers["p_permutation"] == numbers["p_users_and_trainings"] == 1


def records(count: int) -> pl.DataFrame:
    """Records of four candidates; the item that was taken is b."""
    columns = {"candidate_ids": [list("abcd")] * count, "gt_item_id": ["b"] * count}
    return pl.DataFrame({"user_id": [f"u{row // 2}" for row in range(count)], **columns})


def test_candidates_are_ranked_as_counted_by_hand_and_better_students_gain():
    better, equal = candidate_ranks(records(2), [[0.9, 0.5, 0.5, 0.1], [0.0, 1.0, 0.5, 0.2]])
    assert (better.tolist(), equal.tolist()) == ([1, 0], [2, 1])
    rng = np.random.default_rng(4)
    before = rng.random((4, 60, 4))
    after = before + np.array([0, 0.6, 0, 0])
    compared = compare_on_candidates(before.tolist(), after.tolist(), records(60), seed=1)
    assert list(compared) == ["ndcg@10", "hit@1"] and compared["hit@1"]["users"] == 30
    assert all(numbers["difference"] > 0.1 and numbers["p_users_and_trainings"] < 0.01 for numbers in compared.values())
    hits = [(scores.argmax(axis=2) == 1).mean() for scores in (before, after)]
    assert [compared["hit@1"][name] for name in ("baseline", "distilled")] == pytest.approx(hits, abs=1e-6)
