"""Published prompts are shown as they stand; one that is too long loses whole items and nothing else."""

import numpy as np
import pytest

from kitrec.core.errors import InputError
from kitrec.prompts.published import find_items
from kitrec.prompts.template import Style, segments
from kitrec.prompts.truncation import TooLongError, truncate_for_test, truncate_for_training

STYLE = Style(thinking=True, answer_items=1, summaries=True, published=True)
PROMPT = """# Expert Cross-Domain Recommendation System

## Input Parameters
- Source Domain: Books
- Target Domain: Music

## User Interaction History
### User's Books History (Source Domain):
(Format: (ID) title | category | rating | review)
[
  (ID: B1) A Lantern at Sea | Travel | Rating: 4.0 | I read it twice.
Then, on the boat,
a third time.
  (ID: B2) Unknown | Rating: 2.0
  (ID: B3) It | Horror | Rating: 5.0 | # is no heading here
]
### User's Music History (Target Domain):
- Slow Rivers | Folk | Rating: 3.0 | Warm.
- Low Tide | Folk | Rating: 5.0 | A Lantern at Sea, sung.

## List of Available Candidate Items (4 items):
1. (ID: M1) Paper Boats | Jazz | Rating: 4.1
2. (ID: M2) Unknown | Rating: 3.9
3. (ID: M3) Deep Water | Jazz | Rating: 4.8 | Live.
4. (ID: M4) Slow Rivers | Rock | Rating: 2.2

## Your Task
Answer with (ID: M9) or so.
"""
TITLES = {"B1": "A Lantern at Sea", "B3": "It", "T1": "Slow Rivers", "T2": "Low Tide", "M1": "Paper Boats"}
TITLES |= {"M3": "Deep Water", "M4": "Slow Rivers"}


def made_texts(*names):
    facts = {"categories": None, "average_rating": None, "description": None}
    return [{"item_id": name, "title": TITLES.get(name), **facts} for name in names]


def made_record(**changes):
    return {
        "record_id": "r",
        "target": "music",
        "source_items": ["B1", "B2", "B3"],
        "source_ratings": [4.0, 2.0, 5.0],
        "target_items": ["T1", "T2"],
        "target_ratings": [3.0, 5.0],
        "candidate_ids": ["M1", "M2", "M3", "M4"],
        "gt_item_id": "M3",
        "source_texts": made_texts("B1", "B2", "B3"),
        "target_texts": made_texts("T1", "T2"),
        "candidate_texts": made_texts("M1", "M2", "M3", "M4"),
        "published_prompt": PROMPT,
        **changes,
    }


def test_the_lines_of_every_item_are_found():
    layout = find_items(PROMPT, made_record())
    source, target, candidates = (
        [PROMPT[slice(*span)] for span in part] for part in (layout.source, layout.target, layout.candidates)
    )
    assert source[0].startswith("  (ID: B1)") and source[0].endswith("a third time.\n")
    assert source[1] == "  (ID: B2) Unknown | Rating: 2.0\n" and source[2].endswith("no heading here\n")
    assert [line.split(" | ")[0] for line in target] == ["- Slow Rivers", "- Low Tide"]
    assert [line[:10] for line in candidates] == ["1. (ID: M1", "2. (ID: M2", "3. (ID: M3", "4. (ID: M4"]


def test_a_prompt_that_fits_is_the_published_one_whatever_the_style_says():
    for labels in ((), ("A", "B", "C", "D")):
        style = Style(thinking=False, answer_items=10, summaries=False, labels=labels, published=True)
        assert truncate_for_test(made_record(), {}, style, len(PROMPT), list).prompt == list(PROMPT)


def test_a_long_test_prompt_loses_its_oldest_items_line_by_line():
    without_first = PROMPT.replace(PROMPT[PROMPT.index("  (ID: B1)") : PROMPT.index("  (ID: B2)")], "")
    truncated = truncate_for_test(made_record(), {}, STYLE, len(PROMPT) - 1, list)
    assert "".join(truncated.prompt) == without_first and truncated.cuts == ("history",)
    shortest = without_first.replace("  (ID: B2) Unknown | Rating: 2.0\n", "").split("- Slow")[0]
    shortest += PROMPT[PROMPT.index("\n## List of") :]
    truncated = truncate_for_test(made_record(), {}, STYLE, len(shortest), list)
    assert "".join(truncated.prompt) == shortest and truncated.candidates == ["M1", "M2", "M3", "M4"]
    with pytest.raises(TooLongError, match="r: even without its history"):
        truncate_for_test(made_record(), {}, STYLE, len(shortest) - 1, list)


@pytest.mark.parametrize("seed", range(20))
def test_a_long_training_prompt_shows_half_of_the_candidates_and_always_the_held_out_one(seed):
    truncated = truncate_for_training(made_record(), {}, STYLE, len(PROMPT) - 1, list, np.random.default_rng(seed))
    text = "".join(truncated.prompt)
    listed = [line for line in text.splitlines() if line[:1].isdigit()]
    assert truncated.cuts == ("candidates",) and "M3" in truncated.candidates
    assert [line.split()[:3] for line in listed] == [
        [f"{k}.", "(ID:", f"{name})"] for k, name in enumerate(truncated.candidates, start=1)
    ]
    head, _, rest = PROMPT.partition("1. (ID: M1")
    assert text.startswith(head) and text.endswith(rest[rest.index("\n## Your Task") :])


def test_a_prompt_whose_lines_are_not_found_is_shown_whole_or_refused_as_too_long():
    record = made_record(published_prompt=PROMPT.replace("(ID: M2)", "<M2>"))
    text = record["published_prompt"]
    assert segments(record, {}, STYLE).text() == text
    for call in (
        lambda: truncate_for_test(record, {}, STYLE, len(text) - 1, list),
        lambda: truncate_for_training(record, {}, STYLE, len(text) - 1, list, np.random.default_rng(1)),
    ):
        with pytest.raises(TooLongError, match=r"no line begins with M2; raise prompt.max_length"):
            call()


def test_data_without_published_prompts_are_refused():
    with pytest.raises(InputError, match=r"prompt.text: published, but the data hold no prompt for r: only KitREC's"):
        segments(made_record(published_prompt=None), {}, STYLE)


def test_notes_of_earlier_steps_follow_the_published_prompt():
    text = segments(made_record(notes=["one"]), {}, STYLE).text()
    assert text == PROMPT + "\n## Note 1\none\n"
