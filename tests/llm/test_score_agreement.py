import numpy as np
import pytest

from kitrec.llm.likelihood.score_agreement import score_agreement


def test_two_records_match_values_worked_by_hand():
    """Record 1: the same order, twice as far apart. Record 2: reversed, so the top item differs and tau is -1."""
    first = [np.array([3.0, 2.0, 1.0]), np.array([0.0, 1.0, 2.0])]
    second = [np.array([6.0, 4.0, 2.0]), np.array([2.0, 1.0, 0.0])]
    found = score_agreement({"one": first, "two": second}, ground_truth=[0, 2])
    assert found["records"] == 2 and found["hit@1"] == {"one": 1.0, "two": 0.5} and found["hit@1_spread"] == 0.5
    assert found["same_first_share"] == 0.5 and found["kendall_tau"] == pytest.approx((1 - 1) / 2)
    assert found["score_gap_mean"] == pytest.approx((2 + 4 / 3) / 2, abs=1e-4) and found["score_gap_max"] == 3.0


def test_three_scorings_agree_on_the_top_item_only_if_all_do():
    rows = [[np.array([2.0, 1.0])], [np.array([2.0, 1.0])], [np.array([1.0, 2.0])]]
    found = score_agreement(dict(zip("abc", rows, strict=True)), ground_truth=[0])
    assert found["same_first_share"] == 0.0 and found["kendall_tau"] == pytest.approx((1 - 1 - 1) / 3, abs=1e-4)
