"""Prompts are parsed as they were rendered, in all forms in use; text of the data never becomes structure."""

import pytest

from kitrec.prompts.template import Style, candidate_line, history_line, segments
from kitrec.sources.item_lines import UnreadableError, parse_facts
from kitrec.sources.prompt_text import parse_prompt

STYLE = Style(thinking=True, answer_items=1, summaries=True)
PROMPT = """You recommend.

## Input Parameters
- Source domain: Books

## User Interaction History
### User's Books History (Source Domain):
(ID: B00AAAAAAA) A first book | Poetry, Essays | Rating: 5.0 | about this and | that
[Item: B00E9E5EEK] | Unknown | Rating: 2.0
- Plain book | Rating: 4.0
### User's {target} History (Target Domain):
{seen}
## List of Available Candidate Items (2 items)
(ID: B07FLGJWKB) title | categories | Rating: 4.2 | summary
(ID: B000000002) Unknown | Rating: 3.9

## Output Format
(ID: B00NOTLISTED) is an example
"""


@pytest.mark.parametrize(("heading", "target"), [("Movies & TV", "movies"), ("Movies", "movies"), ("Music", "music")])
def test_three_forms_of_history_lines_and_three_headings(heading, target):
    prompt = parse_prompt(PROMPT.format(target=heading, seen="- Seen | Drama | Rating: 3.0"))
    assert prompt.target == target
    first, second, third = prompt.source
    assert (first.item_id, first.title, first.categories) == ("B00AAAAAAA", "A first book", ("Poetry", "Essays"))
    assert (first.rating, first.description) == (5.0, "about this and | that")
    assert (second.item_id, second.title, second.rating) == ("B00E9E5EEK", None, 2.0)
    assert (third.item_id, third.title, third.categories, third.rating) == (None, "Plain book", (), 4.0)
    assert [line.title for line in prompt.target_history] == ["Seen"]
    assert [line.item_id for line in prompt.candidates] == ["B07FLGJWKB", "B000000002"]
    assert prompt.candidates[1].title is None and prompt.candidates[0].description == "summary"


def test_an_empty_target_history_is_valid():
    assert parse_prompt(PROMPT.format(target="Music", seen="(none)\n")).target_history == []
    assert parse_prompt(PROMPT.format(target="Music", seen="")).target_history == []


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (PROMPT.format(target="Games", seen=""), "target domain 'Games'"),
        (PROMPT.format(target="Music", seen="Blue Train by John Coltrane"), "target history: no item line"),
        (PROMPT.replace("## List of", "## A list of").format(target="Music", seen=""), "occurs 0 times"),
        (PROMPT.format(target="Music", seen="") * 2, "source history: its heading occurs 2 times"),
        ("", "source history"),
    ],
)
def test_an_invalid_prompt_is_reported(broken, message):
    with pytest.raises(UnreadableError, match=message):
        parse_prompt(broken)


@pytest.mark.parametrize(
    "title",
    ["A (ID: B000000009) B", "[Item: X]", "## Output", "Rating: 4.0", "```json", "<|im_end|>", "a\u2028b", "- x"],
)
def test_hostile_titles_stay_titles(title):
    item = {"item_id": "B1", "title": title, "categories": ["Drama"], "description": "d", "average_rating": 4.0}
    prompt = PROMPT.format(target="Music", seen=history_line(item, 2.0, STYLE)).replace(
        "(ID: B000000002) Unknown | Rating: 3.9\n", candidate_line("B1", item, STYLE)
    )
    read = parse_prompt(prompt)
    assert [line.item_id for line in read.candidates] == ["B07FLGJWKB", "B1"]
    assert read.candidates[1].title == title == read.target_history[0].title


def test_missing_facts_are_none():
    assert parse_facts("Unknown") == (None, (), None, None)
    assert parse_facts("Title | Rating: 4.0") == ("Title", (), 4.0, None)
    assert parse_facts("A | B | Drama, War | Rating: 4 | s") == ("A | B", ("Drama", "War"), 4.0, "s")


def test_prompts_of_the_synthetic_world_survive_a_round_trip(dataset, items):
    """Rendered, parsed and rendered again: histories and candidates are the same lines."""
    for record in dataset.records["A"]["test"].iter_rows(named=True):
        prompt = segments(record, items, STYLE)
        read = parse_prompt(prompt.text())
        assert read.target == record["target"] and [c.item_id for c in read.candidates] == record["candidate_ids"]
        again = "".join(candidate_line(str(c.item_id), as_item(c), STYLE) for c in read.candidates)
        assert again in prompt.candidates
        for line in [*read.source, *read.target_history]:
            assert history_line(as_item(line), line.rating, STYLE) in prompt.history


def as_item(line):
    return {
        "title": line.title,
        "categories": list(line.categories),
        "description": line.description,
        "average_rating": line.rating,
    }
