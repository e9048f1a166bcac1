import re
from dataclasses import replace

import pytest

from kitrec.prompts.template import Style, segments

THINKING = Style(thinking=True, answer_items=1, summaries=True)


def test_the_sections_of_the_specification_stand_in_order(dataset, items):
    text = segments(dataset.records["A"]["test"].row(0, named=True), items, THINKING).text()
    headings = re.findall(r"^#+ .*$", text, re.MULTILINE)
    assert headings == [
        "## Input Parameters",
        "## User Interaction History",
        "### User's Books History (Source Domain):",
        "### User's Movies & TV History (Target Domain):",
        "## List of Available Candidate Items (20 items)",
        "## Reasoning Guidelines",
        "## Output Format",
    ]


def test_candidate_lines_give_id_title_categories_rating_and_summary(dataset, items):
    record = dataset.records["A"]["test"].row(0, named=True)
    lines = [line for line in segments(record, items, THINKING).candidates.splitlines() if line.startswith("(ID: ")]
    assert [line[5:15] for line in lines] == record["candidate_ids"]
    for line, item_id in zip(lines, record["candidate_ids"], strict=True):
        item = items[item_id]
        rating = f"Rating: {item['average_rating']:.1f}"
        if item["has_metadata"]:
            facts = [item["title"], ", ".join(item["categories"]), rating, item["description"]]
            assert line == f"(ID: {item_id}) {' | '.join(facts)}"
        else:
            assert line == f"(ID: {item_id}) Unknown | {rating}"


def test_history_lines_show_the_users_ratings_and_no_ids(dataset, items):
    record = dataset.records["A"]["test"].row(0, named=True)
    history = segments(record, items, THINKING).history
    shown = [float(x) for x in re.findall(r"Rating: (\d\.\d)", history)]
    assert shown == record["source_ratings"] + record["target_ratings"]
    assert "(ID:" not in history


def test_an_empty_target_history_says_so(dataset, items):
    record = next(r for r in dataset.records["A"]["test"].iter_rows(named=True) if r["core"] == 1)
    assert segments(record, items, THINKING).history.endswith("History (Target Domain):\n(none)\n")


def test_the_direct_prompt_is_the_same_without_the_guidelines(dataset, items):
    record = dataset.records["A"]["test"].row(3, named=True)
    thinking, direct = (segments(record, items, replace(THINKING, thinking=t)).text() for t in (True, False))
    start = thinking.index("\n## Reasoning Guidelines")
    end = thinking.index("\n## Output Format")
    assert direct == thinking[:start] + thinking[end:]


@pytest.mark.parametrize("role", ["test", "development"])
def test_a_prompt_does_not_depend_on_the_held_out_item(dataset, items, role):
    for record in dataset.records["A"][role].iter_rows(named=True):
        other = next(i for i in record["candidate_ids"] if i != record["gt_item_id"])
        blinded = {**record, "gt_item_id": other, "gt_rating": 1.0, "output": "x", "candidate_origins": []}
        assert segments(blinded, items, THINKING) == segments(record, items, THINKING)


def test_the_template_itself_holds_no_id(items):
    record = {
        "target": "music", "source_items": [], "source_ratings": [], "target_items": [], "target_ratings": [],
        "candidate_ids": [],
    }  # fmt: skip
    for answer_items in (1, 10):
        text = segments(record, items, replace(THINKING, answer_items=answer_items)).text()
        assert not re.search(r"[A-Z0-9]{10}", text)
        assert ("Top 10" in text) == (answer_items == 10)
