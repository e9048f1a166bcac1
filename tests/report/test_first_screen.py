"""The first screen's answers follow from the tests of their view; bounds are shown and never the best."""

import polars as pl
import pytest

from kitrec.report.chart_parts import axis_top, spread
from kitrec.report.first_screen import METRICS, FirstScreen, View, first_screen, views
from kitrec.report.palette import methods

ROLES = {"llm": "learned", "seq": "learned", "pop": "baseline", "oracle": "bound"}
MEANS = {"llm": 0.4, "seq": 0.3, "pop": 0.1, "oracle": 0.9}


def made_means(shift: float = 0.0, members: tuple[tuple[str, str], ...] = (("all", "all"),)) -> pl.DataFrame:
    """Means in all strata, both kinds; `shift` is added to the mean of seq."""
    return pl.DataFrame(
        [
            {
                "method": name,
                "kind": kind,
                "stratum": stratum,
                "member": member,
                "metric": metric,
                "n": 60,
                "users": 58,
                "mean": mean + shift * (name == "seq"),
                "low": mean - 0.05,
                "high": mean + 0.25,
                "few": False,
            }
            for name, mean in MEANS.items()
            for kind in (("scored", "written") if name in ("llm", "seq") else ("scored",))
            for stratum, member in members
            for metric in METRICS
        ]
    )


def made_pairs(p_of_seq: float, *, kind: str = "scored") -> pl.DataFrame:
    """Tests of llm against seq and pop; the interval leaves zero where p is small."""
    return pl.DataFrame(
        [
            {
                "kind": kind,
                "metric": metric,
                "method": "llm",
                "other": other,
                "n": 58,
                "difference": 0.1,
                "low": 0.02 if p < 0.05 else -0.02,
                "high": 0.2,
                "p_permutation": p,
                "declared": False,
                "p_holm": None,
            }
            for other, p in (("seq", p_of_seq), ("pop", 0.0001))
            for metric in METRICS
        ],
        schema_overrides={"p_holm": pl.Float64},
    )


def made_screen(pairs: pl.DataFrame, means: pl.DataFrame | None = None, **changed: object) -> dict:
    view, table = View("A"), made_means() if means is None else means
    content = {
        "methods": methods(list(ROLES), ROLES),
        "means": {"A": table},
        "comparisons": {view: pairs},
        "declared": pairs,
        "labels": {"movies": "Movies & TV"},
        "answer_items": {"llm": 1, "seq": 1},
        "notes": {},
        "metric": "ndcg@10",
    }
    return first_screen(FirstScreen(**{**content, **changed}))


def answer(screen: dict, metric: str = "ndcg@10", kind: str = "scored") -> dict:
    return screen["views"]["A|all|all"]["answers"][kind][metric]


def test_a_clear_difference_is_claimed_with_its_interval_and_corrected_p():
    found = answer(made_screen(made_pairs(0.01)))
    assert found["best"] == "llm"
    assert found["sentences"] == [
        "llm has the highest mean NDCG@10 of the learned methods, 0.400 [0.350, 0.650], and is ahead of seq by 0.100 "
        "[0.020, 0.200], p = .010.",
        "It is ahead of pop (p < .001).",
    ]  # Holm of (.01, .0001): .01 and .0002
    assert "Upper bounds" in found["note"] and "oracle 0.900" in found["note"]


def test_an_unclear_difference_is_not_claimed():
    found = answer(made_screen(made_pairs(0.04).with_columns(low=-0.02)))
    assert "but is not distinguishable from seq at n = 58 users" in found["sentences"][0]
    assert "ahead of seq" not in " ".join(found["sentences"])


def test_a_bound_is_never_the_best_and_never_compared():
    pairs = pl.concat([made_pairs(0.01), made_pairs(0.01).with_columns(method=pl.lit("oracle"))])
    for metric in METRICS:
        found = answer(made_screen(pairs), metric)
        assert found["best"] == "llm" and "oracle" not in " ".join(found["sentences"])


def test_the_best_is_that_of_the_metric_and_seen_from_it():
    found = answer(made_screen(made_pairs(0.01), made_means(shift=0.3)))
    assert found["best"] == "seq" and "but is behind llm" in found["sentences"][0]  # means and tests as they are given


def test_equal_means_have_no_single_best():
    pairs = made_pairs(1.0).with_columns(difference=pl.when(other="seq").then(0.0).otherwise("difference"))
    sentence = answer(made_screen(pairs, made_means(shift=0.1)))["sentences"][0]
    assert sentence.startswith("llm and seq share the highest mean NDCG@10 of the learned methods, 0.400")


def test_declared_pairs_have_the_p_of_the_declared_family():
    declared = made_pairs(0.01).with_columns(declared=pl.lit(True), p_holm=pl.lit(0.3))
    assert "p = .300" in answer(made_screen(made_pairs(0.01), declared=declared))["sentences"][0]


def test_written_answers_of_different_lengths_compare_in_the_first_item_alone():
    screen = made_screen(made_pairs(0.01, kind="written"), answer_items={"llm": 1, "seq": 10})
    assert answer(screen, "mrr", "written")["sentences"] == [
        "Answers of different numbers of items compare in Hit@1 alone: see that metric."
    ]
    assert "ahead of seq" in answer(screen, "hit@1", "written")["sentences"][0]


@pytest.mark.parametrize(("domains", "shown"), [(["movies", "music"], 3), (["movies"], 1)])
def test_views_are_all_combinations_of_the_switches(domains, shown):
    every = views(["A", "B"], domains)
    assert len(every) == len(set(every)) == 2 * shown * 7
    assert [
        View("A", *pair).stratum for pair in (("all", "all"), ("music", "all"), ("all", "1"), ("music", "10+"))
    ] == [*(("all", "all"), ("domain", "music"), ("core", "1"), ("domain_core", "music 10+"))]


def test_views_without_users_are_left_out():
    screen = made_screen(
        made_pairs(0.5), comparisons={View("A"): made_pairs(0.5), View("A", "all", "1"): made_pairs(0.5)}
    )
    assert list(screen["views"]) == ["A|all|all"] and screen["cores"] == ["all"]


def test_names_beside_lines_are_moved_apart_by_as_little_as_possible():
    assert spread({"a": 0.5, "b": 0.52, "c": 0.9}, 0.1, 1.0) == {"a": 0.46, "b": 0.56, "c": 0.9}
    assert spread({"a": 0.02, "b": 0.03, "c": 0.04}, 0.1, 1.0) == {"a": 0.0, "b": 0.1, "c": 0.2}
    assert spread({"a": 0.9, "b": 0.9, "c": 0.1}, 0.8, 1.0) == {"c": 0.0, "a": 0.5, "b": 1.0}
    assert spread({}, 0.1, 1.0) == {}
    assert [axis_top(value) for value in (0.31, 0.3, 0.99, 1.0)] == [0.4, 0.3, 1.0, 1.0]
