"""Sentences about two runs claim what the tests support: families of tests, equal scores, bounds, runs apart."""

import json
import re

import polars as pl
import pytest

from kitrec.report.chart_parts import axis_reach
from kitrec.report.difference_sections import code_section, differences_section, history_section, params_section
from kitrec.report.differences_screen import differences_screen
from kitrec.report.run_differences import Pairing, changes, claims, sentences
from tests.report.made_comparison import (
    DIFFERENCES,
    RECORDS,
    REFUSAL,
    ROLES,
    RUNS,
    made_comparison,
    made_differences,
    made_screen,
    untested,
    view_of,
)
from tests.report.test_page import Tags

METRIC = made_differences().filter(kind="scored", metric="mrr")


def test_p_is_corrected_over_the_rankings_that_are_tested():
    """Holm of .01, .03 and .4 by hand: .03, .06 and .4; the bound and the ranking that is equal are no tests."""
    compared = {change.method: change for change in changes(METRIC, RUNS, ROLES)}
    assert {name: each.tested.p for name, each in compared.items() if each.tested} == pytest.approx(
        {"llm": 0.03, "seq": 0.06, "pop": 0.4}
    )
    assert {name: each.verdict for name, each in compared.items()} == {
        "llm": "ahead",
        "seq": "not distinguishable",
        "same": "same scores",
        "pop": "not distinguishable",
        "oracle": "not tested",
    }
    assert {name: each.interval[0] for name, each in compared.items()} == pytest.approx(DIFFERENCES)


def test_a_sentence_says_who_is_ahead_of_whom_by_what():
    said = sentences(changes(METRIC, RUNS, ROLES), RUNS, "MRR")
    assert said == [
        "MRR of llm: an-experiment is ahead of HEAD by 0.100 [0.070, 0.130], p = .030.",
        "MRR of pop and seq: an-experiment is not distinguishable from HEAD at n = 58 users.",
        "same has the same scores in both runs.",
    ]
    turned = METRIC.with_columns(difference=-pl.col("difference"), low=-pl.col("high"), high=-pl.col("low"))
    assert claims(changes(turned, RUNS, ROLES), "MRR")[0] == (
        "MRR of llm: an-experiment is behind HEAD by 0.100 [0.070, 0.130], p = .030."
    )


def test_no_claim_without_an_interval_off_zero():
    wide = METRIC.with_columns(low=pl.col("low") - 0.2)
    assert not re.search("ahead|behind", " ".join(sentences(changes(wide, RUNS, ROLES), RUNS, "MRR")))


def test_runs_with_equal_scores_differ_in_nothing():
    same = METRIC.with_columns(difference=0.0, low=0.0, high=0.0, equal=pl.lit(True))
    assert sentences(changes(same, RUNS, ROLES), RUNS, "MRR") == [
        "Every ranking of both runs has the same scores in HEAD and an-experiment: nothing differs here."
    ]
    assert sentences([], RUNS, "MRR") == ["The two runs have no ranking of this kind in common."]


def test_many_claims_of_one_verdict_are_counted_after_the_sixth():
    many = pl.concat([METRIC.filter(method="llm").with_columns(method=pl.lit(f"m{k}")) for k in range(9)])
    roles = {f"m{k}": "learned" for k in range(9)}
    said = sentences(changes(many.with_columns(p_permutation=1e-4), RUNS, roles), RUNS, "MRR")
    assert len(said) == 7 and said[-1] == "The same holds of m6, m7 and m8, by less."


def test_written_answers_of_other_lengths_compare_in_the_first_item_alone():
    screen = made_screen()
    assert screen.sentences(view_of(), "written", "mrr")[1] == (
        "Answers of seq were requested with other numbers of items: see Hit@1."
    )
    tested = {change.method: change.verdict for change in screen.changes(view_of(), "written", "mrr")}
    assert tested == {"llm": "ahead", "seq": "not tested"}  # alone in its family: .01
    assert not [change for change in screen.changes(view_of(), "written", "hit@1") if change.tested is None]


@pytest.mark.parametrize(
    ("pairing", "said"),
    [
        (Pairing((60, 60), 60, 58), "Both runs have 60 test records of 58 users. The candidates are the same."),
        (
            Pairing((60, 1062), 50, 48, 50, 3),
            "Both runs have 50 test records of 48 users in common; left out are 10 of HEAD and 1,012 of an-experiment. "
            "All the shared records have other candidates: a difference is one of run and candidates together. Another "
            "item is held out in 3 of them.",
        ),
        (
            Pairing((60, 62), 60, 58, 4),
            "Both runs have 60 test records of 58 users in common; left out are 2 of an-experiment. 4 of the "
            "shared records have other candidates: a difference is one of run and candidates together.",
        ),
        (
            Pairing((60, 62), refusal=REFUSAL),
            f"No difference is tested: {REFUSAL}. Each value is a mean over the run's records, 60 of HEAD and 62 of "
            "an-experiment.",
        ),
    ],
)
def test_what_the_records_have_in_common_is_said(pairing, said):
    assert pairing.sentence(RUNS) == said


def test_a_set_that_is_not_tested_has_values_and_no_difference():
    shown = differences_screen(made_screen())
    view = shown["views"]["B|all|all"]
    assert view["answers"]["scored"]["mrr"]["sentences"] == [
        f"No difference is tested: {REFUSAL}.",
        "Only HEAD has gru.",
    ]
    assert {tuple(by["mrr"][2:]) for by in view["rows"]["scored"].values()} == {(None, None, None, None, "not tested")}
    assert not [key for key in shown["ends"] if key.startswith("B")]
    assert {row[-1] for by in shown["views"]["A|all|all"]["rows"]["scored"].values() for row in by.values()} == {
        *("ahead", "not distinguishable", "same scores", "not tested")
    }


def test_the_axis_of_differences_reaches_as_far_on_both_sides():
    shown = differences_screen(made_screen())
    ends = shown["ends"]["A|all|mrr|scored"]
    assert ends["top"] >= 0.24 and set(ends["names"]) == {"llm", "seq", "pop", "oracle"}  # one that is equal is no line
    assert all(-ends["top"] <= place <= ends["top"] for place in ends["names"].values())
    assert axis_reach(pl.DataFrame({"low": [-0.31], "high": [0.1]})) == 0.32
    assert axis_reach(pl.DataFrame({"low": [0.0], "high": [0.0]})) == 0.02


def test_the_section_of_differences_names_patterns_over_metrics():
    section = differences_section(made_screen(), ["hit@1", "mrr"])
    assert section.finding == (
        "Set A: an-experiment against HEAD, llm ahead in Hit@1 and MRR; seq and pop not distinguishable in Hit@1 and "
        f"MRR. Set B: no difference is tested: {REFUSAL}."
    )
    assert list(section.panels) == ["set A"]
    row = next(row for row in section.rows if row[:5] == ["A", "all", "llm", "scored", "MRR"])
    assert row[5:] == ["0.300", "0.400", "+0.100", "+0.070 … +0.130", "0.03", "ahead"]
    assert {row[-1] for row in section.rows if row[2] == "same" and row[0] == "A"} == {"same scores"}


def test_the_section_by_history_leaves_out_what_does_not_differ():
    section = history_section(made_screen())
    assert list(section.panels) == ["Movies & TV", "Music"] and not [row for row in section.rows if "same" in row]
    assert "With ten and more: NDCG@10 of llm: an-experiment is ahead of HEAD" in section.finding
    screen = made_screen()
    apart = made_screen(tables={view: untested(table) for view, table in screen.tables.items()},
                        pairings={which: Pairing((60, 60), refusal=REFUSAL) for which in "AB"})  # fmt: skip
    assert (
        history_section(apart).finding == f"No difference is tested: {REFUSAL}." and not history_section(apart).panels
    )


def test_params_and_code_that_differ_are_listed_and_no_others():
    by_key = {row[0]: row[1:] for row in params_section(RUNS, RECORDS).rows}
    assert by_key == {"seed": ["1", "2"], "a.b": ["0.0002", by_key["a.b"][1]], "only.here": ["–", "true"]}
    code = code_section(RUNS, RECORDS)
    assert code.rows == [["code of train", "c0de", "c0ff"]]
    assert code.finding == "1 stage ran with other code. Of the 2 outs that both runs have, 1 is equal byte for byte."
    assert "In an-experiment the code of train has changed since it ran." in code.text
    assert params_section(RUNS, (RECORDS[0], RECORDS[0])).finding == "No param differs."


def test_the_page_has_no_explorer_and_no_name_becomes_an_element():
    text, tags = made_comparison(), Tags()
    tags.feed(text)
    assert not tags.open and "img" not in [tag for tag, _ in tags.all]
    places = {attributes.get("id") for _, attributes in tags.all}
    assert {"answer", "headline", "by-history", "params"} <= places and "explorer" not in places
    shown = json.loads(re.search(r'id="first-screen">(.*?)</script>', text, re.DOTALL)[1])
    assert shown["runs"] == list(RUNS) and text.startswith("<!DOCTYPE html>")
    ids = [attributes["id"] for _, attributes in tags.all if "id" in attributes]
    targets = [str(attributes["href"])[1:] for _, attributes in tags.all if "href" in attributes]
    assert len(ids) == len(set(ids)) and set(targets) <= set(ids)
