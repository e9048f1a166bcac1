"""A warning names the budget to raise where more than a hundredth of the answers end at a limit."""

import polars as pl
import pytest

from kitrec.parsing.length_warnings import length_warnings

ANSWER = '<think>short</think>\n\n```json\n{"rank": 1, "item_'
OPEN = "<think>on and on"


def answers(*rows: tuple[str | None, str | None, int]) -> pl.DataFrame:
    texts, reasons = [], []
    for text, reason, count in rows:
        texts += [text] * count
        reasons += [reason] * count
    schema = {"text": pl.String, "finish_reason": pl.String}
    return pl.DataFrame({"text": texts, "finish_reason": reasons}, schema=schema)


@pytest.mark.parametrize("share", [0, 1])
def test_up_to_a_hundredth_nothing_is_said(share):
    table = answers(("done", "stop", 98), (ANSWER, "length", share), (OPEN, "thought_cut", share), (None, None, 2))
    assert length_warnings(table, 128, None) == []


def test_the_budget_that_was_too_small_is_named():
    cut_answers = length_warnings(answers(("done", "stop", 97), (ANSWER, "length", 2), (OPEN, "length", 1)), 128, None)
    assert cut_answers == [
        "3.0% of the answers end at the limit of 128 tokens (1 of 3 within the thought), so what they name is cut: "
        "raise infer.budgets.item_tokens"
    ]
    cut_thoughts = length_warnings(answers(("done", "stop", 90), (OPEN, "length", 10)), 128, None)
    assert "(10 of 10 within the thought)" in cut_thoughts[0] and cut_thoughts[0].endswith("budgets.thought_tokens")


def test_closed_thoughts_are_told_beside_cut_answers():
    table = answers(("done", "stop", 80), (ANSWER, "length", 5), (ANSWER, "thought_cut", 15))
    cut, closed = length_warnings(table, 2304, 2048)
    assert cut.startswith("5.0% of the answers") and closed.startswith("15.0% of the thoughts are closed after 2048")


def test_no_answers_no_warning():
    assert length_warnings(answers(), 128, None) == []
