"""The form of a title's likelihood, chosen on hand-made likelihoods."""

import numpy as np
import pytest

from kitrec.titles.calibration import CALIBRATIONS, Calibration, TitleLikelihoods, choose_calibration

# The first item of each record was taken. A long title: unlikely as a whole, likely by token.
LONG = TitleLikelihoods([np.array([-6.0, -4.0])], [np.array([-6.0, -4.0])], [np.array([4, 2])])
# A common title: likely behind any history; the other gained four nats by this one.
COMMON = TitleLikelihoods([np.array([-5.0, -3.0])], [np.array([-9.0, -3.0])], [np.array([2, 2])])
FIRST = np.array([0])


def test_scores_are_those_of_the_formulas():
    assert Calibration(per_token=False, prior_weight=0.0).scores(COMMON)[0].tolist() == [-5, -3]
    assert Calibration(per_token=False, prior_weight=0.5).scores(COMMON)[0].tolist() == [-0.5, -1.5]
    assert Calibration(per_token=True, prior_weight=1.0).scores(COMMON)[0].tolist() == [2, 0]
    assert Calibration(per_token=True, prior_weight=0.0).scores(LONG)[0].tolist() == [-1.5, -2]


def test_the_mean_is_chosen_where_long_titles_are_taken():
    assert choose_calibration(LONG, FIRST) == (Calibration(per_token=True, prior_weight=0.0), 1.0)


def test_the_least_prior_that_ranks_best_is_chosen():
    """A quarter of the prior leaves -2.75 against -2.25."""
    assert choose_calibration(COMMON, FIRST) == (Calibration(per_token=False, prior_weight=0.5), 1.0)


def test_without_a_need_it_is_the_sum():
    assert choose_calibration(COMMON, np.array([1])) == (Calibration(per_token=False, prior_weight=0.0), 1.0)


def test_records_count_alike_whatever_their_number_of_candidates():
    three = TitleLikelihoods(
        [*COMMON.conditional, np.array([-1.0, -2.0, -3.0])],
        [*COMMON.prior, np.array([0.0, 0.0, 0.0])],
        [*COMMON.tokens, np.array([1, 1, 1])],
    )
    chosen, ndcg = choose_calibration(three, np.array([0, 1]))
    assert chosen.prior_weight == 0.5 and ndcg == pytest.approx((1 + 1 / np.log2(3)) / 2)


def test_all_forms_are_tried():
    assert len(set(CALIBRATIONS)) == 10
