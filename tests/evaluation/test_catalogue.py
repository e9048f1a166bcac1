"""Metrics over all items and freed of popularity: against hand-made figures, and where the truth is planted."""

import numpy as np
import polars as pl
import pytest

from kitrec.cli.result_sheets import catalogue_sheet
from kitrec.core.mean_tests import ONE_TRAINING
from kitrec.core.ranking_metrics import expected_metric
from kitrec.evaluation.bootstrap import Resampling
from kitrec.evaluation.catalogue import Lists, aligned_lists, catalogue_metrics
from kitrec.report.catalogue_section import catalogue_rows, catalogue_section, clear_turns

RESAMPLING = Resampling(200, 1)


def made_ranks(methods: dict[str, list[int]]) -> pl.DataFrame:
    """Ranks (from 0) of the held-out item of users U0, U1, ... among 1,000 items."""
    frames = [
        pl.DataFrame(
            {
                "method": method,
                "user_id": [f"U{k}" for k in range(len(better))],
                "target": "movies",
                "gt_item_id": [f"i{k}" for k in range(len(better))],
                "better": better,
                "equal": 1,
                "items": 1000,
            }
        )
        for method, better in methods.items()
    ]
    return pl.concat(frames)


def made_scores(methods: dict[str, list[float]], kind: str = "scored") -> pl.DataFrame:
    frames = [
        pl.DataFrame(
            {
                "method": method,
                "kind": kind,
                "user_id": [f"U{k}" for k in range(len(values))],
                "target": "movies",
                "hit@10": values,
                "ndcg@10": values,
            }
        )
        for method, values in methods.items()
    ]
    return pl.concat(frames)


def popularity(counts: list[int]) -> pl.DataFrame:
    return pl.DataFrame({"item_id": [f"i{k}" for k in range(len(counts))], "users": counts})


def metrics(ranks: dict, scores: dict, counts: list[int]) -> dict:
    lists = aligned_lists(made_ranks(ranks), {"setA": made_scores(scores)}, popularity(counts))
    return catalogue_metrics(lists, RESAMPLING)


def test_a_debiased_mean_is_that_worked_out_by_hand():
    # users had 0 and 3 times in training: 1 / p = 1, 1/2 at e = 0.5; hits of the first and none of the second
    result = metrics({"m": [0, 500]}, {"m": [1.0, 0.0]}, [0, 3])
    of_catalogue = {how: figures["hit@10"] for how, figures in result["methods"]["m"]["catalogue"].items()}
    assert of_catalogue == pytest.approx(
        {"observed": 0.5, "debiased_0.5": 1 / 1.5, "debiased_1.25": 1 / (1 + 4**-1.25)}, abs=1e-6
    )
    assert result["methods"]["m"]["setA"]["debiased_0.5"]["ndcg@10"] == pytest.approx(1 / 1.5, abs=1e-6)
    assert result["effective_records"]["debiased_0.5"] == pytest.approx(1.5**2 / 1.25, abs=0.05)


def test_items_of_equal_popularity_leave_the_plain_mean():
    result = metrics({"m": [0, 3, 500]}, {"m": [1.0, 0.5, 0.0]}, [7, 7, 7])
    for figures in result["methods"]["m"].values():
        assert len({row["ndcg@10"] for row in figures.values()}) == 1
    assert set(result["effective_records"].values()) == {3.0}


def test_the_estimate_recovers_the_mean_over_items_where_popular_ones_are_observed_more():
    rng, exponent, items = np.random.default_rng(4), 1.25, 400
    counts = rng.pareto(1.0, items).round() + 1
    quality = np.clip(0.1 + 0.1 * np.log(counts + 1), 0, 1)  # a method that is better at popular items
    shares = (counts + 1) ** exponent / ((counts + 1) ** exponent).sum()
    observed = rng.choice(items, 60_000, p=shares)
    hits = (rng.random(len(observed)) < quality[observed]).astype(float)
    columns = {("catalogue", "m", metric): hits for metric in ("hit@10", "ndcg@10")}
    users = np.arange(len(observed))
    result = catalogue_metrics(Lists(users, counts[observed], columns), Resampling(20, 1))["methods"]["m"]["catalogue"]
    assert result["debiased_1.25"]["hit@10"] == pytest.approx(quality.mean(), abs=0.02)
    assert result["observed"]["hit@10"] > quality.mean() + 0.1


def test_orders_that_turn_between_candidates_and_all_items_are_listed():
    # "safe" is always in the middle of a catalogue, "sharp" is first for a fifth of the users and last for the others
    users = 200
    sharp = [0 if k % 5 == 0 else 999 for k in range(users)]
    safe = [60 + k % 7 for k in range(users)]
    among_candidates = {
        "sharp": [float(k % 5 == 0) for k in range(users)],
        "safe": [0.5 + 0.01 * (k % 3) for k in range(users)],
    }
    result = metrics({"sharp": sharp, "safe": safe}, among_candidates, [1] * users)
    assert result["kendall_tau"]["catalogue observed ~ setA observed"] == -1
    turned = result["turned_pairs"]["setA"]["safe – sharp"]
    assert turned["setA"]["difference"] > 0 > turned["catalogue"]["difference"]
    assert clear_turns(result) == [("setA", "safe – sharp")]
    text = catalogue_section(result).text
    assert "both 95 % intervals exclude zero, uncorrected: safe – sharp (set A). " in text
    assert text.endswith(ONE_TRAINING) and "chance" not in text
    columns, rows = catalogue_rows(result)
    assert columns == ["method", "set A", "all items", "e = 0.5", "e = 1.25"]
    assert rows[0][:3] == ["safe", "0.510 (1)", "0.000 (2)"] and rows[1][0] == "sharp"
    sheet = catalogue_sheet(result)
    assert list(sheet.cells) == columns and len(sheet.rows) == 2
    figures = next(row for row in sheet.all_figures if (row["method"], row["list"]) == ("safe", "setA"))
    assert figures["weighting"] == "observed" and figures["ndcg@10"] == pytest.approx(0.51, abs=1e-3)


def test_metrics_among_all_items_are_those_of_the_ranks():
    better = [0, 4, 12, 9]
    result = metrics({"m": better}, {"m": [0.0] * 4}, [1, 1, 1, 1])
    expected = expected_metric("ndcg@10", np.array(better), np.ones(4, dtype=int)).mean()
    assert result["methods"]["m"]["catalogue"]["observed"]["ndcg@10"] == pytest.approx(expected, abs=1e-6)


def test_methods_without_ranks_have_candidate_figures_alone_and_written_lists_do_not_count():
    lists = aligned_lists(
        made_ranks({"m": [0, 5]}),
        {
            "setA": pl.concat(
                [made_scores({"m": [1.0, 0.0], "llm": [0.0, 1.0]}), made_scores({"text": [1.0, 1.0]}, "written")]
            )
        },
        popularity([1, 2]),
    )
    result = catalogue_metrics(lists, RESAMPLING)
    assert result["methods"].keys() == {"m", "llm"} and result["methods"]["llm"].keys() == {"setA"}
    assert result["kendall_tau"] == {} and result["turned_pairs"] == {"setA": {}}
    assert [row[0] for row in catalogue_rows(result)[1]] == ["m"]


def test_records_that_a_list_lacks_are_left_out_of_all():
    lists = aligned_lists(made_ranks({"m": [0, 5, 7]}), {"setA": made_scores({"m": [1.0, 0.0]})}, popularity([1, 2, 3]))
    assert len(lists.users) == 2 and lists.popularity.tolist() == [1, 2]
