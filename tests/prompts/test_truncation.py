"""Truncated prompts: always within the limit, cut in the declared order, in tests independent of the held-out item."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kitrec.core.errors import InputError
from kitrec.prompts.template import Style, segments
from kitrec.prompts.truncation import subsample_candidates, truncate_for_test, truncate_for_training

STYLE = Style(thinking=True, answer_items=1, summaries=True)


def made_item(name, summary="word " * 8):
    return {"title": f"Title {name}", "categories": ["C"], "description": summary.strip(), "average_rating": 4.0}


ITEMS = {
    name: made_item(name)
    for name in [*(f"b{k}" for k in range(9)), *(f"t{k}" for k in range(5)), *(f"m{k}" for k in range(20))]
}


def made_record(books=9, targets=5, candidates=20, ground_truth=3):
    return {
        "record_id": "r",
        "target": "movies",
        "source_items": [f"b{k}" for k in range(books)],
        "source_ratings": [4.0] * books,
        "target_items": [f"t{k}" for k in range(targets)],
        "target_ratings": [5.0] * targets,
        "candidate_ids": [f"m{k}" for k in range(candidates)],
        "gt_item_id": f"m{ground_truth}",
    }


def shown(text, prefix, count):
    """Return (names shown, names shown with their summary) of the items `prefix`0, `prefix`1, ..."""
    lines = {f"{prefix}{k}": [x for x in "".join(text).split("\n") if f"Title {prefix}{k} " in x] for k in range(count)}
    return {n for n, rows in lines.items() if rows}, {n for n, rows in lines.items() if rows and "word" in rows[0]}


WHOLE = len(segments(made_record(), ITEMS, STYLE).text())


def shortest(rec):
    bare = {name: {**facts, "description": None} for name, facts in ITEMS.items()}
    kept = {"source_items": rec["source_items"][-1:], "source_ratings": [4.0], "target_items": [], "target_ratings": []}
    return len(segments({**rec, **kept}, bare, STYLE).text())


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 9), st.integers(0, 5), st.integers(0, 19), st.floats(0, 1))
def test_a_test_prompt_fits_keeps_all_candidates_and_is_cut_in_order(books, targets, ground_truth, share):
    rec = made_record(books, targets, ground_truth=ground_truth)
    limit = int(shortest(rec) + share * (WHOLE - shortest(rec)))
    truncated = truncate_for_test(rec, ITEMS, STYLE, limit, list)
    assert len(truncated.prompt) <= limit and len(truncated.candidates) == 20
    listed, described = shown(truncated.prompt, "m", 20)
    assert len(listed) == 20 and len(described) in (0, 20)
    left_books, described_books = shown(truncated.prompt, "b", books)
    left_targets, described_targets = shown(truncated.prompt, "t", targets)
    history = [*(f"b{k}" for k in range(books)), *(f"t{k}" for k in range(targets))]
    described_history = described_books | described_targets
    assert [n for n in history if n in described_history] == history[len(history) - len(described_history) :]
    assert left_books == {f"b{k}" for k in range(books - len(left_books), books)} and left_books
    assert left_targets == {f"t{k}" for k in range(targets - len(left_targets), targets)}
    if len(described) == 0 or len(left_books) < books:
        assert not described_history  # summaries of the history go first
    if len(left_books) < books:
        assert not described  # then those of the candidates
    if len(left_targets) < targets:
        assert len(left_books) == 1  # target items go last
    assert ("history" in truncated.cuts) == (len(left_books) < books or len(left_targets) < targets)
    assert "candidates" not in truncated.cuts


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 18), st.floats(0, 1))
def test_no_byte_of_a_test_prompt_depends_on_the_held_out_item(ground_truth, share):
    limit = int(shortest(made_record()) + share * (WHOLE - shortest(made_record())))
    first, second = (
        truncate_for_test(made_record(ground_truth=k), ITEMS, STYLE, limit, list) for k in (ground_truth, 19)
    )
    assert (first.prompt, first.cuts, first.candidates) == (second.prompt, second.cuts, second.candidates)


def test_no_more_is_cut_than_needed():
    """One token more of room than a step needs, and the step is not taken."""
    full = segments(made_record(), ITEMS, STYLE).text()
    assert truncate_for_test(made_record(), ITEMS, STYLE, len(full), list).cuts == ()
    first = truncate_for_test(made_record(), ITEMS, STYLE, len(full) - 1, list)
    assert first.cuts == ("summaries",) and len(shown(first.prompt, "b", 9)[1]) == 8


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 19), st.floats(0, 1))
def test_a_training_prompt_fits_and_keeps_the_held_out_item(seed, ground_truth, share):
    rec = made_record(ground_truth=ground_truth)
    limit = int(
        shortest(made_record(candidates=10)) + 40 + share * (WHOLE - shortest(made_record()))
    )  # ids of two digits
    truncated = truncate_for_training(rec, ITEMS, STYLE, limit, list, np.random.default_rng(seed))
    listed, _ = shown(truncated.prompt, "m", 20)
    assert (
        len(truncated.prompt) <= limit
        and f"m{ground_truth}" in listed
        and len(listed) == len(truncated.candidates) in (10, 20)
    )
    assert ("candidates" in truncated.cuts) == (len(truncated.candidates) == 10)
    if {"summaries", "history"} & set(truncated.cuts):
        assert "candidates" in truncated.cuts  # candidates go before anything else


def test_the_held_out_items_new_position_is_uniform_and_every_negative_equally_likely_to_stay():
    positions, kept = [], []
    for seed in range(2000):
        candidates = subsample_candidates(made_record(ground_truth=0), np.random.default_rng(seed))["candidate_ids"]
        assert len(set(candidates)) == 10
        positions.append(candidates.index("m0"))
        kept += [int(name[1:]) for name in candidates if name != "m0"]
    assert stats.chisquare(np.bincount(positions, minlength=10)).pvalue > 0.001
    assert stats.chisquare(np.bincount(kept, minlength=20)[1:]).pvalue > 0.001


def test_what_cannot_fit_names_the_record():
    with pytest.raises(
        InputError, match=r"r: even without its history.*has 1?\d+ tokens, 50 fit; raise prompt.max_length"
    ):
        truncate_for_test(made_record(), ITEMS, STYLE, 50, list)
