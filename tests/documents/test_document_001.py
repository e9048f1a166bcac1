"""The finished model's report: a row with flat columns and the prompt of its section 2.4, item by item."""

import json
import re
from pathlib import Path

import pytest

from kitrec.sources.item_lines import UnreadableError
from kitrec.sources.kitrec_jsonl import load, read_row
from kitrec.sources.prompt_text import parse_prompt
from kitrec.sources.quarantine import Quarantine

FOLDER = Path(__file__).parent / "kitrec"
INSTRUCTION = (FOLDER / "instruction_001.txt").read_text(encoding="utf-8")
OUTPUT = (FOLDER / "output_001.txt").read_text(encoding="utf-8")
SOURCE, TARGET = "### User's Books History (Source Domain):\n", "### User's Music History (Target Domain):\n"
CANDIDATES = "## List of Available Candidate Items (4 items):\n"


def made_row(**changed):
    """A training row with the columns of section 2.3: no target_core, no input, no nested metadata."""
    row = {
        "instruction": INSTRUCTION,
        "output": OUTPUT,
        "user_id": "AE2INVENTEDUSER0000000000001",
        "user_type": "cold_start_3core_music",
        "gt_item_id": "B07LOCHSIDE",
        "candidate_set": "A",
        "target_domain": "Music",
        "source_domain": "Books",
        "confidence_score": 9.5,
        "thinking_length": 240,
    }
    return {**row, **changed}


def with_section(heading, *lines):
    """The prompt with other lines in the section of a heading."""
    before, after = INSTRUCTION.split(heading)
    following = after[re.search(r"^###? (?!not a heading)", after, re.MULTILINE).start() :]
    return before + heading + "\n".join(lines) + "\n\n" + following


def core(**changed):
    return read_row(made_row(**changed), "A", 4, require_output=True)[0]["core"]


def test_every_item_of_the_prompt_is_read_and_nothing_else():
    prompt = parse_prompt(INSTRUCTION)
    assert prompt.target == "music"
    assert [item.item_id for item in prompt.source] == ["B00QUAYSIDE", "1590301234", "B01MOORLAND"]
    assert [item.title for item in prompt.source] == ["Lanterns on the Quay", "The Salt Almanac", None]
    assert [item.rating for item in prompt.source] == [5.0, 4.0, 3.0]
    assert [item.item_id for item in prompt.target_history] == ["B000FIDDLE", "B000ORGAN1"]
    ids = [item.item_id for item in prompt.candidates]
    assert ids == ["B07LOCHSIDE", "B07COPPER00", "B07TWOREEDS", "B07NIGHTBUS"]
    assert [item.rating for item in prompt.candidates] == [4.6, 3.9, 4.1, 4.4]


def test_the_lines_of_a_review_belong_to_its_item():
    prompt = parse_prompt(INSTRUCTION)
    review = "I read it twice. The harbour scenes are the best I know. - the ending - and the letters Recommended!"
    assert prompt.source[0].description == review
    heading = "Cheerful ## not a heading, a line of this review and another line."
    assert prompt.target_history[0].description == heading
    described = [item.description for item in prompt.candidates]
    assert described == ["Airs and reels | remastered", "A debut in two parts", None, "Long tracks"]


def test_a_row_without_a_core_counts_its_history():
    record, _ = read_row(made_row(), "A", 4, require_output=True)
    assert (record["core"], record["output"]) == (3, OUTPUT)
    assert record["candidate_ids"][record["candidate_origins"].index("truth")] == "B07LOCHSIDE"


@pytest.mark.parametrize(
    ("shown", "stated", "expected"),
    [
        (4, None, 5),
        (8, None, 9),
        (11, None, 12),
        (2, None, 5),
        (11, 10, 10),
        (11, "12", 12),
        (11, "10+", 12),
        (3, "10+", 10),
        (6, "5-9", 7),
        (11, "5-9", 9),
        (6, "5+", 7),
        (6, 7.0, 7),
        (6, "7-core", 7),
    ],
)
def test_ten_or_more_do_not_become_five(shown, stated, expected):
    lines = [f"  (ID: B0SEEN{k}) Album {k} | Folk | Rating: 4.0 | fine" for k in range(shown)]
    changed = {} if stated is None else {"target_core": stated}
    prompt = with_section(TARGET, *lines)
    assert core(instruction=prompt, user_type="overlapping_books_music", **changed) == expected


@pytest.mark.parametrize(
    "phrase",
    "No history available|No history available.|None|none.|(No interactions)|- None|* None|- no interactions|[]|(none)"
    "|N/A|n/a|No Music interactions found.|- No history available|The user has no interactions in this domain yet.|NONE"
    '|(No target domain history - cold-start user)|There is no history.|**None**|-|"None"|No previous Music history'
    "|Empty|Not available".split("|"),
)
def test_an_empty_history_is_no_item(phrase):
    assert parse_prompt(with_section(TARGET, phrase)).target_history == []
    assert (
        parse_prompt(with_section(TARGET, "(Format: title | categories | Rating)", f"  {phrase}")).target_history == []
    )
    with pytest.raises(UnreadableError, match="empty Books history"):
        core(instruction=with_section(SOURCE, phrase))


@pytest.mark.parametrize(
    "title", ["No Country for Old Songs", "None of the Above | Folk", "Nothing | Rock | Rating: 4.0"]
)
def test_a_title_that_sounds_like_nothing_is_an_item(title):
    (item,) = parse_prompt(with_section(TARGET, f"- {title}")).target_history
    assert item.title == title.partition(" | ")[0]


@pytest.mark.parametrize("lead", ["", "  ", "\t", "- ", "  - ", "1. ", " 12) ", "* ", "\u2022 "])
def test_every_beginning_of_an_item_line_is_understood(lead):
    lines = [f"{lead}(ID: B0SEEN{k}) Album {k} | Folk | Rating: 4.0" for k in range(4)]
    prompt = parse_prompt(with_section(CANDIDATES, *lines).replace(TARGET, TARGET + lines[0] + "\n"))
    assert [item.item_id for item in prompt.candidates] == [f"B0SEEN{k}" for k in range(4)]
    assert [item.title for item in prompt.candidates] == [f"Album {k}" for k in range(4)]
    assert prompt.target_history[0].item_id == "B0SEEN0"


@pytest.mark.parametrize(
    "around",
    [("[", "]"), ("[]", ""), ("```", "```"), ("Choose one of these.", "---"), ("Items:", "Choose wisely."), ("", "")],
)
def test_what_stands_around_a_list_is_no_item(around):
    lines = [f"  (ID: B0SEEN{k}) Album {k} | Folk | Rating: 4.0" for k in range(4)]
    prompt = parse_prompt(with_section(CANDIDATES, around[0], *lines, "", around[1]))
    assert [(item.item_id, item.description) for item in prompt.candidates] == [(f"B0SEEN{k}", None) for k in range(4)]


def test_brackets_on_the_first_and_the_last_line_are_no_text():
    lines = [f"(ID: B0SEEN{k}) Album {k} | Folk | Rating: 4.0 | fine" for k in range(4)]
    prompt = parse_prompt(with_section(CANDIDATES, f"[{lines[0]}", *lines[1:3], f"{lines[3]}]"))
    assert [item.description for item in prompt.candidates] == ["fine"] * 4
    assert prompt.candidates[0].item_id == "B0SEEN0"


@pytest.mark.parametrize(
    "line",
    [
        "(ID: B0 SEEN) Album | Folk",
        "(ID: ../../etc) Album | Folk",
        "(ID: ) Album",
        "(ID B0SEEN) Album | Folk | Rating: 4.0",
        "B0SEEN: Album | Folk | Rating: 4.0 | fine",
        "[Item: ] | Album | Folk | Rating: 4.0",
    ],
)
@pytest.mark.parametrize("heading", [SOURCE, TARGET, CANDIDATES])
def test_an_item_that_cannot_be_read_is_named(heading, line):
    lines = [f"  (ID: B0SEEN{k}) Album {k} | Folk | Rating: 4.0" for k in range(4)]
    with pytest.raises(UnreadableError, match="no item line") as problem:
        parse_prompt(with_section(heading, *lines[:2], f"  {line}", *lines[2:]))
    assert problem.value.line.strip() == line


def test_a_history_in_prose_is_not_an_empty_one():
    with pytest.raises(UnreadableError, match="target history: no item line: 'The user loved Blue"):
        parse_prompt(with_section(TARGET, "The user loved Blue Train and Night Organ."))


@pytest.mark.parametrize(
    "review",
    [
        "## List of Available Candidate Items (1 items):\n(ID: B0SMUGGLED) X | Folk | Rating: 5.0",
        "(ID: B0SMUGGLED) X | Folk",
        "### User's Music History (Target Domain):",
        "## List of Available Candidate Items",
    ],
)
def test_a_review_brings_no_candidate_in(review):
    plain = INSTRUCTION.replace("(live)", f"(live)\n{review}")
    try:
        assert "B0SMUGGLED" not in [item.item_id for item in parse_prompt(plain).candidates]
    except UnreadableError as problem:
        assert "heading occurs 2 times" in str(problem)
    for_candidate = INSTRUCTION.replace("A debut", f"A debut\n{review}")
    with pytest.raises(
        UnreadableError, match=r"heading occurs 2 times|wrong number of candidates: 5, its heading says 4"
    ):
        parse_prompt(for_candidate)


def test_the_message_shows_the_lines_that_were_not_understood(tmp_path):
    """Five rows in three layouts that nobody foresaw: the message is enough to see them."""
    strange = ["Album <B0X> by A", "Album <B0X> by A", "Album <B0X> by A", "Title = B", "Title = B", "C; Folk; 4"]
    rows = [made_row(instruction=with_section(TARGET, line)) for line in strange]
    rows += [made_row(instruction=INSTRUCTION.replace("User's Music History", "Past albums of the user"))]
    path, quarantine = tmp_path / "train.jsonl", Quarantine()
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    load([path], "A", 4, quarantine, require_output=True, quiet=True)
    shown = "3 x Album <B0X> by A\n  2 x Title = B\n  1 x C; Folk; 4"
    assert quarantine.summary().endswith(shown)
    quarantine.write(tmp_path / "rejects.jsonl")
    rejects = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert [reject["unread"] for reject in rejects][:6] == strange
    assert rejects[6]["unread"] == "### Past albums of the user (Target Domain):"
