"""Views of the first screen select the right users, compare no bounds, and give methods their roles."""

from itertools import product

import numpy as np
import polars as pl
import pytest

from kitrec.cli.report_views import _answer_items, compared_views, drawn_methods
from kitrec.evaluation.score_matrix import score_matrix
from kitrec.report.first_screen import View
from kitrec.schemas.scores import METRICS

METHODS = ("kitrec_full", "sasrec", "popularity", "oracle")


@pytest.fixture(scope="module")
def scores() -> pl.DataFrame:
    """Eight users of each domain and core, with random scores."""
    rng = np.random.default_rng(4)
    users = [
        (f"U{k}", target, core)
        for k, (target, core, _) in enumerate(product(("movies", "music"), ("1", "4"), range(8)))
    ]
    rows = [
        {
            "method": method, "record_id": user, "kind": "scored", "user_id": user, "target": target, "user_type": "t",
            "user_category": "source_only", "core": core, "gt_has_metadata": True, "candidate_hash": "h",
            **dict(zip(METRICS, rng.random(len(METRICS)), strict=True)),
        }
        for method in METHODS
        for user, target, core in users
    ]  # fmt: skip
    return pl.DataFrame(rows)


def test_a_run_of_references_alone_asked_for_no_items():
    assert _answer_items("A", []) == {}


@pytest.mark.usefixtures("in_project")
def test_a_view_compares_its_users_and_no_bound(scores):
    whole = pl.DataFrame({"table": ["of the run"]})
    compared = compared_views({"A": score_matrix(scores)}, whole, ["movies", "music"], {"oracle"}, {})
    assert compared.pop(View("A")) is whole
    assert {(view.domain, view.core) for view in compared} == {
        *(("all", "1"), ("all", "4"), ("movies", "all"), ("music", "all")),
        *product(("movies", "music"), ("1", "4")),
    }  # cores without users are left out
    for view, users in ((View("A", "music", "1"), 8), (View("A", "all", "4"), 16), (View("A", "movies"), 16)):
        part = scores.filter(
            pl.col("target").is_in([view.domain] if view.domain != "all" else ["movies", "music"]),
            pl.col("core").is_in([view.core] if view.core != "all" else ["1", "4"]),
        )
        means = dict(part.group_by("method").agg(pl.col("mrr").mean()).iter_rows())
        rows = compared[view].filter(metric="mrr")
        assert rows["n"].unique().to_list() == [users] and not rows["declared"].any()
        assert {frozenset(pair) for pair in rows.select("method", "other").iter_rows()} == {
            frozenset(pair)
            for pair in (("kitrec_full", "sasrec"), ("kitrec_full", "popularity"), ("sasrec", "popularity"))
        }
        for method, other, difference in rows.select("method", "other", "difference").iter_rows():
            assert difference == pytest.approx(means[method] - means[other])


@pytest.mark.usefixtures("in_project")
def test_methods_of_the_params_are_learned_and_the_others_references(scores):
    drawn = drawn_methods(scores)
    assert [(method.name, method.role) for method in drawn] == [
        *(("kitrec_full", "learned"), ("sasrec", "learned"), ("popularity", "baseline"), ("oracle", "bound"))
    ]
    assert drawn == drawn_methods(scores.sample(fraction=1.0, shuffle=True, seed=1))  # in any order of rows
