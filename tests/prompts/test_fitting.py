"""Shortened prompts: within the limit always, in the declared order of sacrifice, blind to the truth in tests."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kitrec.core.errors import InputError
from kitrec.prompts.template import Style, segments
from kitrec.prompts.truncation import fit_for_test, fit_for_training, halve_candidates

STYLE = Style(thinking=True, answer_items=1, summaries=True)


def item(name, summary="word " * 8):
    return {"title": f"Title {name}", "categories": ["C"], "description": summary.strip(), "average_rating": 4.0}


ITEMS = {
    name: item(name)
    for name in [*(f"b{k}" for k in range(9)), *(f"t{k}" for k in range(5)), *(f"m{k}" for k in range(20))]
}


def record(books=9, seen=5, candidates=20, truth=3):
    return {
        "record_id": "r",
        "target": "movies",
        "source_items": [f"b{k}" for k in range(books)],
        "source_ratings": [4.0] * books,
        "target_items": [f"t{k}" for k in range(seen)],
        "target_ratings": [5.0] * seen,
        "candidate_ids": [f"m{k}" for k in range(candidates)],
        "gt_item_id": f"m{truth}",
    }


def shown(text, prefix, count):
    """(names shown, names shown with their summary) of the items `prefix`0, `prefix`1, ..."""
    lines = {f"{prefix}{k}": [x for x in "".join(text).split("\n") if f"Title {prefix}{k} " in x] for k in range(count)}
    return {n for n, found in lines.items() if found}, {n for n, found in lines.items() if found and "word" in found[0]}


WHOLE = len(segments(record(), ITEMS, STYLE).text())


def shortest(rec):
    bare = {name: {**facts, "description": None} for name, facts in ITEMS.items()}
    kept = {"source_items": rec["source_items"][-1:], "source_ratings": [4.0], "target_items": [], "target_ratings": []}
    return len(segments({**rec, **kept}, bare, STYLE).text())


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 9), st.integers(0, 5), st.integers(0, 19), st.floats(0, 1))
def test_a_test_prompt_fits_keeps_all_candidates_and_gives_things_up_in_order(books, seen, truth, share):
    rec = record(books, seen, truth=truth)
    room = int(shortest(rec) + share * (WHOLE - shortest(rec)))
    fitted = fit_for_test(rec, ITEMS, STYLE, room, list)
    assert len(fitted.prompt) <= room and len(fitted.shown) == 20
    listed, described = shown(fitted.prompt, "m", 20)
    assert len(listed) == 20 and len(described) in (0, 20)
    left_books, told_books = shown(fitted.prompt, "b", books)
    left_seen, told_seen = shown(fitted.prompt, "t", seen)
    history = [*(f"b{k}" for k in range(books)), *(f"t{k}" for k in range(seen))]
    assert [n for n in history if n in told_books | told_seen] == history[len(history) - len(told_books | told_seen) :]
    assert left_books == {f"b{k}" for k in range(books - len(left_books), books)} and left_books
    assert left_seen == {f"t{k}" for k in range(seen - len(left_seen), seen)}
    if len(described) == 0 or len(left_books) < books:
        assert not told_books | told_seen  # summaries of the history go first
    if len(left_books) < books:
        assert not described  # then those of the candidates
    if len(left_seen) < seen:
        assert len(left_books) == 1  # target items go last
    assert ("history" in fitted.cuts) == (len(left_books) < books or len(left_seen) < seen)
    assert "candidates" not in fitted.cuts


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 18), st.floats(0, 1))
def test_no_byte_of_a_test_prompt_depends_on_the_truth(truth, share):
    room = int(shortest(record()) + share * (WHOLE - shortest(record())))
    one, two = (fit_for_test(record(truth=t), ITEMS, STYLE, room, list) for t in (truth, 19))
    assert (one.prompt, one.cuts, one.shown) == (two.prompt, two.cuts, two.shown)


def test_no_more_is_given_up_than_needed():
    """One token more of room than a step needs, and the step is not taken."""
    full = segments(record(), ITEMS, STYLE).text()
    assert fit_for_test(record(), ITEMS, STYLE, len(full), list).cuts == ()
    first = fit_for_test(record(), ITEMS, STYLE, len(full) - 1, list)
    assert first.cuts == ("summaries",) and len(shown(first.prompt, "b", 9)[1]) == 8


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 19), st.floats(0, 1))
def test_a_training_prompt_fits_and_keeps_the_truth(seed, truth, share):
    rec = record(truth=truth)
    room = int(shortest(record(candidates=10)) + 40 + share * (WHOLE - shortest(record())))  # ids of two digits
    fitted = fit_for_training(rec, ITEMS, STYLE, room, list, np.random.default_rng(seed))
    listed, _ = shown(fitted.prompt, "m", 20)
    assert len(fitted.prompt) <= room and f"m{truth}" in listed and len(listed) == len(fitted.shown) in (10, 20)
    assert ("candidates" in fitted.cuts) == (len(fitted.shown) == 10)
    if {"summaries", "history"} & set(fitted.cuts):
        assert "candidates" in fitted.cuts  # candidates go before anything else


def test_the_truths_new_place_is_uniform_and_every_negative_as_likely_to_stay():
    places, kept = [], []
    for seed in range(2000):
        halved = halve_candidates(record(truth=0), np.random.default_rng(seed))["candidate_ids"]
        assert len(set(halved)) == 10
        places.append(halved.index("m0"))
        kept += [int(name[1:]) for name in halved if name != "m0"]
    assert stats.chisquare(np.bincount(places, minlength=10)).pvalue > 0.001
    assert stats.chisquare(np.bincount(kept, minlength=20)[1:]).pvalue > 0.001


def test_what_cannot_fit_names_the_record():
    with pytest.raises(
        InputError, match=r"r: even without its history.*has 1?\d+ tokens, 50 fit; raise prompt.max_length"
    ):
        fit_for_test(record(), ITEMS, STYLE, 50, list)
