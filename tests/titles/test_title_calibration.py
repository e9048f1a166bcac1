"""The form of the scores, chosen on hand-made likelihoods, and on shares of items."""

import math

import numpy as np
import polars as pl
import pytest

from kitrec.titles.calibration import (
    CALIBRATIONS,
    EVIDENCE,
    Calibration,
    Evidence,
    calibrate,
    from_table,
    mean_ndcg,
    of_vectors,
    padded,
)

# The first item of each record was taken. A long title: unlikely as a whole, likely by token.
LONG = Evidence([np.array([-6.0, -4.0])], [np.array([-6.0, -4.0])], [np.array([4, 2])], [np.zeros(2)])
# A common title: likely behind any history; the other gained four nats by this one.
COMMON = Evidence([np.array([-5.0, -3.0])], [np.array([-9.0, -3.0])], [np.array([2, 2])], [np.zeros(2)])
# A favourite: its words are as likely as the other's, and eight times as many take it.
FAVOURITE = Evidence([np.array([-4.0, -4.0])], [np.array([-5.0, -5.0])], [np.array([2, 2])], [np.log([0.8, 0.1])])
FIRST = np.array([0])


def form(per_token: bool = False, alone: float = 0.0, share: float = 0.0) -> Calibration:
    return Calibration(per_token, alone, share)


def test_scores_are_those_of_the_formulas():
    assert form().scores(COMMON)[0].tolist() == [-5, -3]
    assert form(alone=0.5).scores(COMMON)[0].tolist() == [-0.5, -1.5]
    assert form(per_token=True, alone=1.0).scores(COMMON)[0].tolist() == [2, 0]
    assert form(per_token=True).scores(LONG)[0].tolist() == [-1.5, -2]
    assert form(True, 1.0, 0.5).scores(FAVOURITE)[0] == pytest.approx(
        [0.5 + 0.5 * np.log(0.8), 0.5 + 0.5 * np.log(0.1)]
    )


def test_the_mean_is_chosen_where_long_titles_are_taken():
    assert calibrate(LONG, FIRST) == (form(per_token=True), 1.0)


def test_the_least_weight_that_ranks_best_is_chosen():
    """A quarter of the title's own likelihood leaves -2.75 against -2.25."""
    assert calibrate(COMMON, FIRST) == (form(alone=0.5), 1.0)
    assert calibrate(FAVOURITE, FIRST) == (form(share=0.25), 1.0)


def test_without_a_need_it_is_the_sum():
    assert calibrate(COMMON, np.array([1])) == (form(), 1.0)


def test_records_count_alike_whatever_their_number_of_candidates():
    three = Evidence(
        [*COMMON.scores, np.array([-1.0, -2.0, -3.0])],
        [*COMMON.alone, np.zeros(3)],
        [*COMMON.lengths, np.array([1, 1, 1])],
        [*COMMON.log_shares, np.zeros(3)],
    )
    chosen, ndcg = calibrate(three, np.array([0, 1]))
    assert chosen.alone_weight == 0.5 and ndcg == pytest.approx((1 + 1 / np.log2(3)) / 2)


def test_all_forms_are_tried():
    assert len(set(CALIBRATIONS)) == 50


def test_the_weight_of_popularity_is_the_one_that_ranks_best():
    shares, candidates = np.array([0.0, 0.9, 0.05, 0.05]), [np.array([1, 2, 3]), np.array([1, 2])]
    evidence = of_vectors([np.array([0.0, 1.0, 0.2]), np.array([0.3, 0.1])], candidates, shares)
    popular, ndcg = calibrate(evidence, np.array([0, 0]))  # a quarter of log 18 = 2.89 does not make up for 1
    assert (popular, ndcg) == (form(share=0.5), 1.0)
    assert calibrate(evidence, np.array([1, 0]))[0] == form()


def test_ndcg_of_lists_of_different_length():
    scores = padded([np.array([3.0, 2.0, 1.0]), np.array([1.0, 2.0])])
    assert mean_ndcg(scores, np.array([0, 0])) == pytest.approx((1 + 1 / math.log2(3)) / 2)


def test_evidence_comes_back_from_its_table():
    evidence = Evidence(
        [*LONG.scores, np.array([1.0])],
        [*LONG.alone, np.array([2.0])],
        [*LONG.lengths, np.array([3])],
        [*LONG.log_shares, np.array([-0.5])],
    )
    table = evidence.table(pl.Series(["r1", "r2"]))
    assert dict(table.schema) == EVIDENCE.columns and table["record_id"].to_list() == ["r1", "r2"]
    again = from_table(table)
    for name in ("scores", "alone", "lengths", "log_shares"):
        assert all(map(np.array_equal, getattr(again, name), getattr(evidence, name)))
