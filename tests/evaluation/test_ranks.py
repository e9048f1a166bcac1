import numpy as np
import polars as pl
import pytest

from kitrec.evaluation.metrics import MISSING, metrics
from kitrec.evaluation.rank_curve import ranks
from kitrec.evaluation.scoring import places, score, with_records
from kitrec.schemas.rankings import from_scores
from tests.evaluation.made_records import made_records

IDS = [f"I{k:02d}" for k in range(12)]


@pytest.fixture
def records() -> pl.DataFrame:
    return made_records([IDS] * 300, np.random.default_rng(1).choice(IDS, 300).tolist())


def written(records: pl.DataFrame, lists: list[list[str]]) -> pl.DataFrame:
    return from_scores("m", records, [[0.0] * 12] * records.height).with_columns(
        kind=pl.lit("written"),
        item_ids=pl.Series(lists, dtype=pl.List(pl.String)),
        scores=pl.lit(None, dtype=pl.List(pl.Float64)),
    )


def test_the_curve_by_hand():
    """Truth I00, four records: at rank 1, at rank 3, level with one other at the top, level with all twelve."""
    records = made_records([IDS] * 4, ["I00"] * 4)
    given = [[9.0, *[0.0] * 11], [7.0, 9.0, 8.0, *[0.0] * 9], [1.0, 1.0, *[0.0] * 10], [0.0] * 12]
    found = ranks(from_scores("m", records, given), records)
    expected = [(1 + 0 + 0.5 + 1 / 12) / 4, (1 + 0 + 1 + 2 / 12) / 4, (3 + 3 / 12) / 4]
    assert found["within"].to_list()[:3] == pytest.approx(expected, abs=1e-6)
    assert found["rank"].to_list() == list(range(1, 13)) and found["within"][-1] == 1 and set(found["missing"]) == {0}


def test_a_truth_that_is_not_in_the_list_counts_and_is_told(records):
    """A third names only the truth, a third only another item, a third nothing."""
    truths = records["gt_item_id"].to_list()
    lists = [[[truth], ["I00" if truth != "I00" else "I01"], []][k % 3] for k, truth in enumerate(truths)]
    found = ranks(written(records, lists), records)
    assert set(found["within"]) == {0.333333} and set(found["missing"]) == {0.666667} and set(found["n"]) == {300}


def test_behind_more_inventions_than_there_are_candidates_a_truth_is_on_no_shown_rank(records):
    lists = [[f"FAKE{k}" for k in range(40)] + [truth] for truth in records["gt_item_id"].to_list()]
    found = ranks(written(records, lists), records)
    assert found.height == 12 and set(found["within"]) == {0.0} and set(found["missing"]) == {0.0}


def test_the_curve_at_1_5_and_10_is_hit_at_1_5_and_10(records):
    rng = np.random.default_rng(2)
    tied = from_scores("m", records, rng.integers(0, 4, (300, 12)).astype(float))
    cut = written(records, [rng.permutation(IDS)[: k % 13].tolist() for k in range(300)])
    both = pl.concat([tied, cut])
    found, scored = ranks(both, records), score(both, records)
    for kind in ("scored", "written"):
        curve = dict(found.filter(kind=kind).select("rank", "within").iter_rows())
        for k in (1, 5, 10):
            assert curve[k] == pytest.approx(scored.filter(kind=kind)[f"hit@{k}"].mean(), abs=1e-6)


def test_a_thousand_random_places_agree_with_the_formula():
    rng = np.random.default_rng(3)
    records = made_records([IDS] * 1000, rng.choice(IDS, 1000).tolist())
    ranked = from_scores("m", records, rng.integers(0, 5, (1000, 12)).astype(float))
    g, e = places(with_records(ranked, records))
    assert (g != MISSING).all() and metrics(g, e)["hit@1"].mean() == pytest.approx(np.mean((g == 0) / e))
    expected = [np.mean(np.clip(r - g, 0, e) / e) for r in range(1, 13)]
    assert ranks(ranked, records)["within"].to_list() == pytest.approx(expected, abs=1e-6)
