"""Metrics of every user against ir_measures and ranx; ties against the mean over all orders they allow.

Scores are integers: trec_eval, inside ir_measures, stores 32 bits and would see ties where there are none."""

from fractions import Fraction
from itertools import permutations, product

import ir_measures
import numpy as np
import polars as pl
import pytest

from kitrec.evaluation.scoring import score
from kitrec.schemas.rankings import from_scores
from kitrec.schemas.scores import METRICS
from tests.evaluation.made_records import made_records

RUNS, COUNT = 10_000, 20
IDS = [f"I{k:02d}" for k in range(COUNT)]
IR_MEASURES = dict(zip(METRICS, ("Success@1", "Success@5", "Success@10", "RR", "nDCG@5", "nDCG@10"), strict=True))
RANX = dict(zip(METRICS, ("hit_rate@1", "hit_rate@5", "hit_rate@10", "mrr", "ndcg@5", "ndcg@10"), strict=True))
Runs = dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def records() -> pl.DataFrame:
    gt_items = np.random.default_rng(1).choice(IDS, RUNS).tolist()
    return made_records([IDS] * RUNS, gt_items)


@pytest.fixture(scope="module")
def scored(records) -> pl.DataFrame:
    """Every candidate in a random order, without ties."""
    return from_scores("m", records, np.random.default_rng(2).permuted(np.tile(np.arange(20.0), (RUNS, 1)), axis=1))


@pytest.fixture(scope="module")
def written(scored) -> pl.DataFrame:
    """The same orders cut at random lengths: some held-out items are missing."""
    lengths = pl.Series(np.random.default_rng(3).integers(1, COUNT + 1, RUNS))
    return scored.with_columns(
        pl.col("item_ids").list.head(pl.lit(lengths)),
        kind=pl.lit("written"),
        scores=pl.lit(None, dtype=pl.List(pl.Float64)),
    )


def runs(rankings: pl.DataFrame) -> Runs:
    """Return rankings in the format of other libraries: higher scores rank better."""
    return {
        record: {item: float(COUNT - rank) for rank, item in enumerate(items)}
        for record, items in rankings.select("record_id", "item_ids").iter_rows()
    }


def qrels(records: pl.DataFrame) -> dict[str, dict[str, int]]:
    return {record: {gt_item: 1} for record, gt_item in records.select("record_id", "gt_item_id").iter_rows()}


def by_ir_measures(relevant: dict[str, dict[str, int]], run: Runs) -> dict[str, dict[str, float]]:
    """Return metric -> record -> value."""
    measures = {ir_measures.parse_measure(theirs): ours for ours, theirs in IR_MEASURES.items()}
    values: dict[str, dict[str, float]] = {name: {} for name in METRICS}
    for result in ir_measures.iter_calc(list(measures), relevant, run):
        values[measures[result.measure]][result.query_id] = result.value
    return values


@pytest.mark.parametrize("kind", ["scored", "written"])
def test_ten_thousand_runs_agree_with_ir_measures(records, kind, request):
    ranked = request.getfixturevalue(kind)
    ours, theirs = score(ranked, records), by_ir_measures(qrels(records), runs(ranked))
    for name in METRICS:
        assert np.abs(ours[name].to_numpy() - [theirs[name][r] for r in ours["record_id"]]).max() < 1e-12
    assert ours["mrr"].min() < 0.051 and (kind == "scored" or ours["mrr"].min() == 0)


@pytest.mark.slow  # half a minute: ranx compiles itself when it is first used
@pytest.mark.filterwarnings("ignore:.*unsafe cast from uint64 to int64")
@pytest.mark.parametrize("kind", ["scored", "written"])
def test_ten_thousand_runs_agree_with_ranx(records, kind, request):
    from ranx import Qrels, Run, evaluate

    ranked = request.getfixturevalue(kind)
    ours, run = score(ranked, records), Run(runs(ranked))
    evaluate(Qrels(qrels(records)), run, list(RANX.values()))
    for name, theirs in RANX.items():
        assert np.abs(ours[name].to_numpy() - [run.scores[theirs][r] for r in ours["record_id"]]).max() < 1e-12


def test_ties_score_the_mean_over_every_order_they_allow():
    """All 729 ways to give six candidates three scores, over those of the 720 orders in which no score rises."""
    names = IDS[:6]
    orders = {f"R{k}": order for k, order in enumerate(permutations(range(6)))}
    run = {record: {names[item]: 6.0 - rank for rank, item in enumerate(o)} for record, o in orders.items()}
    theirs = by_ir_measures({record: {names[0]: 1} for record in orders}, run)
    values = np.array([[theirs[name][record] for name in METRICS] for record in orders])
    all_scores = np.array(list(product((0.0, 1.0, 2.0), repeat=6)))
    records = made_records([names] * len(all_scores), [names[0]] * len(all_scores))
    ours = score(from_scores("m", records, all_scores), records).select(METRICS).to_numpy()
    for scores, row in zip(all_scores, ours, strict=True):
        falling = (np.diff(scores[list(orders.values())], axis=1) <= 0).all(axis=1)
        assert row == pytest.approx(values[falling].mean(axis=0), abs=1e-12)


def test_long_lists_of_many_ties_match_exact_fractions():
    """An item behind g and tied with e - 1 others has each of its e ranks in (e - 1)! of e! orders."""
    all_scores = np.random.default_rng(4).integers(0, 12, (500, 100)).astype(float)
    names = [f"I{k:03d}" for k in range(100)]
    records = made_records([names] * len(all_scores), [names[7]] * len(all_scores))
    ours = score(from_scores("m", records, all_scores), records)
    for scores, row in zip(all_scores.tolist(), ours.iter_rows(named=True), strict=True):
        above = sum(value > scores[7] for value in scores)
        ranks = range(above + 1, above + scores.count(scores[7]) + 1)
        exact = {f"hit@{k}": Fraction(sum(r <= k for r in ranks), len(ranks)) for k in (1, 5, 10)}
        exact["mrr"] = sum((Fraction(1, r) for r in ranks), Fraction()) / len(ranks)
        assert {name: row[name] for name in exact} == pytest.approx({n: float(v) for n, v in exact.items()}, abs=1e-12)
