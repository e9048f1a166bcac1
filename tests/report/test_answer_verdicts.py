"""Sentences claim what the test supports and no more, whatever the numbers are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from kitrec.report.verdicts import Difference, comparison, grouped, holm, listed, p

CLEAR = Difference("a", "b", 0.12, 0.02, 0.21, 0.012, 60)


@pytest.mark.parametrize("seed", range(6))
def test_holm_agrees_with_statsmodels(seed):
    rng = np.random.default_rng(seed)
    p_values = (rng.random(1 + 2 * seed) ** 3).round(2 if seed % 2 else 6).tolist()  # some with ties
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]), abs=1e-12)


@settings(deadline=None)
@given(st.floats(-1, 1), st.floats(0, 0.5), st.floats(0, 1), st.integers(1, 999))
def test_ahead_is_said_only_below_the_level_and_beside_zero(value, half, p_value, n):
    difference = Difference("a", "b", value, value - half, value + half, p_value, n)
    text, clear = comparison(difference), p_value < 0.05 and abs(value) > half
    assert text.startswith("ahead of b by") == (clear and value > 0)
    assert text.startswith("behind b by") == (clear and value < 0)
    assert text.startswith(f"not distinguishable from b at n = {n} users") == (not clear)
    assert not any(word in text for word in ("better", "best", "equal", "same", "significant"))


def test_a_difference_seen_from_the_other_method_is_the_opposite():
    turned = CLEAR.of("b")
    assert comparison(CLEAR) == "ahead of b by 0.120 [0.020, 0.210], p = .012"
    assert comparison(turned) == "behind a by 0.120 [0.020, 0.210], p = .012"
    assert turned.of("a") == CLEAR


def test_a_small_p_with_an_interval_over_zero_is_not_distinguishable():
    assert Difference("a", "b", 0.1, -0.01, 0.2, 0.001, 60).verdict == "not distinguishable"


def test_methods_of_one_verdict_share_a_clause_with_the_largest_p():
    unclear = Difference("a", "d", 0.01, -0.1, 0.1, 0.8, 60)
    text = grouped([CLEAR, unclear, Difference("a", "c", 0.3, 0.2, 0.4, 0.0001, 60)])
    assert text == "ahead of b and c (each p = .012), not distinguishable from d at n = 60 users"


def test_many_methods_of_one_verdict_are_counted():
    text = grouped([Difference("a", f"m{k}", 0.3, 0.2, 0.4, 0.0001, 60) for k in range(9)])
    assert text == "ahead of 9 methods (each p < .001)"


def test_numbers_and_lists_are_written_as_in_papers():
    assert [p(value) for value in (1e-9, 0.0004, 0.001, 0.2, 0.99999, 1.0)] == [
        *("p < .001", "p < .001", "p = .001", "p = .200", "p = 1", "p = 1")
    ]
    assert [listed(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
