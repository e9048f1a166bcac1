import numpy as np
import polars as pl
import pytest

from kitrec.evaluation.metrics import MISSING, metrics
from kitrec.evaluation.scoring import count_better_and_equal, hit_rate_curves, join_records, score
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


def test_the_curve_matches_values_worked_by_hand():
    """Held-out item I00, four records: at rank 1, at rank 3, level with one other at the top, level with all twelve."""
    records = made_records([IDS] * 4, ["I00"] * 4)
    scores = [[9.0, *[0.0] * 11], [7.0, 9.0, 8.0, *[0.0] * 9], [1.0, 1.0, *[0.0] * 10], [0.0] * 12]
    result = hit_rate_curves(from_scores("m", records, scores), records)
    expected = [(1 + 0 + 0.5 + 1 / 12) / 4, (1 + 0 + 1 + 2 / 12) / 4, (3 + 3 / 12) / 4]
    assert result["hit_rate"].to_list()[:3] == pytest.approx(expected, abs=1e-6)
    assert (
        result["rank"].to_list() == list(range(1, 13)) and result["hit_rate"][-1] == 1 and set(result["missing"]) == {0}
    )


def test_a_held_out_item_that_is_not_in_the_list_counts_as_missing(records):
    """A third of the lists holds only the held-out item, a third only another item, a third nothing."""
    gt_items = records["gt_item_id"].to_list()
    lists = [[[gt_item], ["I00" if gt_item != "I00" else "I01"], []][k % 3] for k, gt_item in enumerate(gt_items)]
    result = hit_rate_curves(written(records, lists), records)
    assert set(result["hit_rate"]) == {0.333333} and set(result["missing"]) == {0.666667} and set(result["n"]) == {300}


def test_an_item_behind_more_invented_ids_than_candidates_is_beyond_the_last_rank(records):
    lists = [[f"FAKE{k}" for k in range(40)] + [gt_item] for gt_item in records["gt_item_id"].to_list()]
    result = hit_rate_curves(written(records, lists), records)
    assert result.height == 12 and set(result["hit_rate"]) == {0.0} and set(result["missing"]) == {0.0}


def test_the_curve_at_1_5_and_10_is_hit_at_1_5_and_10(records):
    rng = np.random.default_rng(2)
    tied = from_scores("m", records, rng.integers(0, 4, (300, 12)).astype(float))
    cut = written(records, [rng.permutation(IDS)[: k % 13].tolist() for k in range(300)])
    both = pl.concat([tied, cut])
    result, scored = hit_rate_curves(both, records), score(both, records)
    for kind in ("scored", "written"):
        curve = dict(result.filter(kind=kind).select("rank", "hit_rate").iter_rows())
        for k in (1, 5, 10):
            assert curve[k] == pytest.approx(scored.filter(kind=kind)[f"hit@{k}"].mean(), abs=1e-6)


def test_a_thousand_random_rankings_agree_with_the_formula():
    rng = np.random.default_rng(3)
    records = made_records([IDS] * 1000, rng.choice(IDS, 1000).tolist())
    ranked = from_scores("m", records, rng.integers(0, 5, (1000, 12)).astype(float))
    g, e = count_better_and_equal(join_records(ranked, records))
    assert (g != MISSING).all() and metrics(g, e)["hit@1"].mean() == pytest.approx(np.mean((g == 0) / e))
    expected = [np.mean(np.clip(r - g, 0, e) / e) for r in range(1, 13)]
    assert hit_rate_curves(ranked, records)["hit_rate"].to_list() == pytest.approx(expected, abs=1e-6)
