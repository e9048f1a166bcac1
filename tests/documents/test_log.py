"""The log has an index that agrees with its entries, and every entry has the four parts."""

import re

from tests.conftest import ROOT

TEXT = (ROOT / "docs/log.md").read_text(encoding="utf-8")
ENTRY = re.compile(r'^<a id="(\w+)"></a>\n\n## (\d{4}-\d\d-\d\d) · (.*)$', re.MULTILINE)
ROW = re.compile(r"^\| (\d{4}-\d\d-\d\d) \| \[(.*)\]\(#(\w+)\) \| .+ \|$", re.MULTILINE)


def test_the_index_lists_every_entry_in_the_same_order():
    entries = [(date, title, anchor) for anchor, date, title in ENTRY.findall(TEXT)]
    assert entries == ROW.findall(TEXT)
    assert len({anchor for *_, anchor in entries}) == len(entries) == len(re.findall(r"^## \d", TEXT, re.MULTILINE))


def test_entries_stand_newest_first():
    dates = [date for _, date, _ in ENTRY.findall(TEXT)]
    assert dates == sorted(dates, reverse=True)


def test_every_entry_has_question_setting_result_and_decision():
    for body in ENTRY.split(TEXT)[4::4]:
        assert re.findall(r"^- \*\*(\w+)\.\*\*", body, re.MULTILINE) == ["Question", "Setting", "Result", "Decision"]


def test_lines_of_the_log_are_at_most_120_characters():
    assert not [line for line in TEXT.splitlines() if len(line) > 120]
