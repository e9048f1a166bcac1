"""Sections on research questions: their sentences follow from the numbers, and say where a question does not apply."""

import polars as pl
import pytest

from kitrec.report.calibration_section import calibration_question
from kitrec.report.first_screen import View
from kitrec.report.palette import methods
from kitrec.report.questions import ablation_question, declared_question, history_question
from tests.report.test_first_screen import MEANS, ROLES, made_means, made_pairs, made_screen

METHODS = ["tuned_cot", "tuned", "cot", "base"]
BOUNDS = {"mae_low": 0.4, "mae_high": 0.6, "rmse": 0.6, "rmse_low": 0.5, "rmse_high": 0.7}
ERRORS = {"n": 100, "all": {"n": 90, "halved": {"mae": 0.5, **BOUNDS}, "affine": {"mae": 0.45, **BOUNDS}}}


def made_effect(size: float, p: float) -> dict[str, float]:
    return {"n": 60, "difference": size, "low": size - 0.05, "high": size + 0.05, "p_permutation": p, "effect": 0.1}


def made_declared() -> pl.DataFrame:
    rows = [
        {
            "kind": "scored",
            "metric": metric,
            "method": "llm",
            "other": other,
            "n": 58,
            "difference": value,
            "low": value - 0.05,
            "high": value + 0.05,
            "p_permutation": p,
            "p_holm": p,
            "p_wilcoxon": 0.5,
            "stars": "",
            "size": "small",
            "mde": None,
            "declared": True,
        }
        for metric, other, value, p in (
            ("hit@1", "seq", 0.1, 0.01),
            ("mrr", "seq", 0.02, 0.4),
            ("hit@1", "pop", 0.2, 0.001),
            ("mrr", "pop", 0.2, 0.001),
        )
    ]
    return pl.DataFrame(
        [*rows, {**rows[0], "other": "undeclared", "declared": False}], schema_overrides={"mde": pl.Float64}
    )


def test_a_run_without_the_2x2_says_so():
    section = ablation_question({}, [], "scored", made_means())
    assert section.finding.startswith("Not tested in this run") and not section.charts and not section.rows


def test_effects_of_the_2x2_are_claimed_by_their_corrected_p():
    effects = {
        "mrr": {
            "fine-tuning": made_effect(0.2, 0.001),
            "thinking": made_effect(0.1, 0.03),
            "interaction": made_effect(0.01, 0.9),
        }
    }
    means = pl.DataFrame(
        [
            {
                "method": m,
                "kind": "scored",
                "stratum": "all",
                "metric": "mrr",
                "n": 60,
                "mean": 0.3,
                "low": 0.2,
                "high": 0.4,
            }
            for m in METHODS
        ]
    )
    section = ablation_question(effects, METHODS, "scored", means)
    assert "fine-tuning raises the mean (+0.200 [+0.150, +0.250], p = .003, n = 60 users)" in section.finding
    assert "thinking has no distinguishable effect on the mean" in section.finding  # Holm: 2 x .03 = .06
    assert "there is no distinguishable interaction" in section.finding
    assert len(section.rows) == 3 and len(section.charts) == 1


def test_declared_pairs_are_summed_up_by_verdict():
    section = declared_question(made_declared())
    assert section.finding == (
        "llm against pop: ahead in Hit@1 and MRR; llm against seq: ahead in Hit@1, not distinguishable in MRR "
        "(n = 58 users)."
    )
    assert len(section.rows) == 4 and "undeclared" not in str(section.rows)
    assert {row["verdict"] for row in section.chart["data"]["values"]} == {"ahead", "not distinguishable"}


def test_the_history_section_has_a_panel_per_domain_and_the_tests_of_the_shortest_history():
    members = (("all", "all"), ("core", "1"), ("domain_core", "movies 1"), ("domain_core", "music 1"))
    pairs = {View("A", *chosen): made_pairs(0.01) for chosen in (("all", "all"), ("all", "1"), ("music", "1"))}
    screen = made_screen(made_pairs(0.01), made_means(members=members), comparisons=pairs)
    drawn = methods(list(ROLES), ROLES)
    section = history_question(
        drawn, made_means(members=members), screen, "ndcg@10", {"movies": "Movies", "music": "Music"}
    )
    assert list(section.panels) == ["Movies", "Music"]
    assert section.finding.startswith("With a single target interaction, the held-out one: llm has the highest mean")
    assert section.rows == [
        [domain, "1", "60", "llm", "0.400", "ahead of seq by 0.100 [0.020, 0.200], p = .010"]
        for domain in ("all", "Music")
    ]
    names = section.panels["Music"]["datasets"]["names"]
    assert {row["method"] for row in names} == set(MEANS)


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        (
            [(9.0, 98, 0.25), (8.0, 2, 0.5)],
            "llm states 9 in 98% of 100 answers: a constant tells no right answer from a wrong",
        ),
        (
            [(5.0, 40, 0.1), (9.0, 60, 0.5)],
            "the right item is first in 10% of 40 answers at 5 and 50% of 60 answers at 9",
        ),
    ],
)
def test_confidence_is_read_by_how_often_each_level_is_stated(levels, said):
    curve = pl.DataFrame(
        [{"method": "llm", "confidence": c, "n": n, "accuracy": a, "rating": 4.0} for c, n, a in levels]
    )
    section = calibration_question(methods(["llm"], {"llm": "learned"}), curve, {"llm": ERRORS})
    assert said in section.finding and len(section.charts) == 2
    assert section.rows[0][:3] == ["llm", "100", "90"] and section.rows[0][6] == "0.500 (0.400–0.600)"


def test_a_run_without_stated_confidences_says_so():
    curve = pl.DataFrame(schema={"method": pl.String, "confidence": pl.Float64, "n": pl.Int64, "accuracy": pl.Float64})
    assert "states a confidence" in calibration_question([], curve, {}).finding
