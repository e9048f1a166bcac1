"""Known items and the metrics split by them, from lines that are made up: every figure by hand."""

import polars as pl
import pytest

from kitrec.core import files, tables
from kitrec.evaluation.bootstrap import Resampling
from kitrec.evaluation.memory import known_items, memory_figures, scores_by_memory
from kitrec.evaluation.scoring import score
from kitrec.report.memory_section import memory_sections, memory_table
from kitrec.schemas.memory import MEMORY, plain_words, without_brackets
from kitrec.schemas.rankings import from_scores
from tests.evaluation.made_records import made_records

DRAWN = Resampling(200, seed=1)


def made_lines(rows: list[tuple[str, str, str, str]], probe: str = "title") -> pl.DataFrame:
    """Return the table of (text, item, truth, written)."""
    names = ("text", "item_id", "truth", "written")
    return tables.from_rows([{"probe": probe, **dict(zip(names, row, strict=True))} for row in rows], MEMORY)


def test_shares_intervals_and_the_sign_test_are_those_of_the_counts():
    truths = ["A, B!", "c d [VHS]", "E F (1999)", "g h", "x", "y", "z", "w"]
    written = ["a b", "c d", "e f", "g h", "nothing", "", "", ""]
    lines = made_lines([(f"t{k}", f"i{k}", *pair) for k, pair in enumerate(zip(truths, written, strict=True))])
    row = memory_figures(lines, seed=1)["title"]
    assert (row["n"], row["share"], row["shuffled"]) == (8, 0.5, 0.0)
    assert row["p"] == pytest.approx(2 / 2**4)  # four truths and no control
    assert (row["low"], row["high"]) == pytest.approx((0.157013, 0.842987), abs=1e-6)  # Clopper-Pearson of 4 in 8
    assert memory_figures(lines, seed=1)["next"] == {"n": 0, **dict.fromkeys(("share", "low", "high", "shuffled", "p"))}


def test_a_base_that_always_writes_a_popular_title_hits_no_more_than_its_control():
    """Two truths: each is the other's control, so the hits of one are the control's hits of the other."""
    truths = ["m a"] * 6 + ["m b"] * 6
    lines = made_lines([(f"t{k}", truth, truth, "m a") for k, truth in enumerate(truths)], "next")
    row = memory_figures(lines, seed=3)["next"]
    assert row["share"] == row["shuffled"] == 0.5 and row["p"] == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_a_control_is_never_the_truth_of_its_text_though_truths_repeat(seed):
    truths = ["a", "A!", "b", "c", "a"]
    lines = made_lines([(f"t{k}", f"i{k}", truth, truth) for k, truth in enumerate(truths)], "history")
    row = memory_figures(lines, seed)["history"]
    assert row["share"] == 1.0 and row["shuffled"] == 0.0


def test_a_text_counts_once_with_a_truth_and_each_of_its_items_is_known():
    lines = made_lines([("t0", "i0", "of Oz", "of Oz"), ("t0", "i1", "of oz [VHS]", "of Oz"), ("t1", "i2", "b c", "d")])
    assert memory_figures(lines, seed=1)["title"]["n"] == 2 and memory_figures(lines, seed=1)["title"]["share"] == 0.5
    assert known_items(lines).rows() == [("i0", True), ("i1", True), ("i2", False)]


@pytest.mark.parametrize(
    ("text", "words"), [("The Mummy's Curse [VHS]", "the mummy s curse"), ("(1999)", ""), ("É!", "é")]
)
def test_words_of_a_title_have_no_case_marks_or_brackets(text, words):
    assert plain_words(text) == words


def test_a_bracket_that_is_never_closed_stays():
    assert without_brackets("It (2017").split() == ["It", "(2017"]


def made_split() -> dict:
    """Five records: i0 and i1 are known, i2 and i3 are not, i4 was not measured; the method is right on the known."""
    records = made_records(
        [["i0", "i9"], ["i9", "i1"], ["i2", "i9"], ["i3", "i9"], ["i4", "i9"]], [f"i{k}" for k in range(5)]
    )
    scores = [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    rankings = from_scores("m", records, scores)
    lines = made_lines([(f"t{k}", f"i{k}", "x y", "X y" if k < 2 else "other") for k in range(4)])
    return scores_by_memory(score(rankings, records), records, known_items(lines), DRAWN, min_users=2)


def test_metrics_are_those_of_the_records_of_each_group():
    split = made_split()
    figures = {group: part["methods"]["m"]["scored"] for group, part in split.items()}
    assert {group: row["hit@1"] for group, row in figures.items()} == {
        "known": 1.0,
        "unknown": 0.5,
        "not_measured": 0.5,
    }
    assert figures["unknown"]["mrr"] == pytest.approx((1 / 2 + 1) / 2)
    assert figures["not_measured"]["mrr"] == pytest.approx((1 + 1 / 2) / 2)  # two are tied
    assert {group: (part["n"], part["few"]) for group, part in split.items()} == {
        "known": (2, False),
        "unknown": (2, False),
        "not_measured": (1, True),
    }
    assert figures["known"]["hit@1_low"] == figures["known"]["hit@1_high"] == 1.0


def test_a_group_without_records_has_no_figures():
    records = made_records([["a", "b"]], ["a"])
    scores = score(from_scores("m", records, [[1.0, 0.0]]), records)
    split = scores_by_memory(scores, records, known_items(made_lines([("t", "a", "x y", "no")])), DRAWN, min_users=1)
    assert split["known"] == {"n": 0, "users": 0, "few": True, "methods": {}} and split["unknown"]["n"] == 1


def test_the_report_shows_both_groups_and_the_probes(tmp_path):
    figures = {"n": 8, "share": 0.5, "low": 0.157, "high": 0.843, "shuffled": 0.0, "p": 0.125}
    nothing = {"n": 1, **dict.fromkeys(("share", "low", "high", "shuffled", "p"))}
    content = {"probes": {"title": figures, "history": nothing, "next": figures}, "setA": made_split()}
    files.write_json(content, tmp_path / "base.json")
    sections = memory_sections(files.read_json(tmp_path / "base.json"), "setA")
    (row,) = sections[0].rows
    assert row[0] == "m (scored)" and row[1].startswith("1.000 (1.000–1.000)") and row[2].startswith("0.500 (")
    assert "2 known, 2 unknown, 1 not measured" in sections[0].text
    probes = sections[1].rows
    assert probes[0] == ["title", "8", "0.500", "0.157 … 0.843", "0.000", "0.12"] and probes[1][2:] == ["–"] * 4
    columns, rows = memory_table(content, "setA")
    assert len(rows) == 1 and len(rows[0]) == len(columns)
