"""Position bias: tests against figures worked out by hand, a planted bias, and methods that ignore the order."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from kitrec.evaluation.positions import (
    Counts,
    PositionCounts,
    choice_test,
    hit_test,
    position_bias,
    position_counts,
    positions_plot,
)
from kitrec.evaluation.scoring import score
from kitrec.schemas.rankings import RANKINGS, from_scores
from tests.evaluation.made_records import made_records

ITEMS = [f"i{k}" for k in range(8)]


def made_written(records: pl.DataFrame, answers: list[list[str]], method: str = "m") -> pl.DataFrame:
    """Return written rankings of these lists."""
    rows = from_scores(method, records, [[0.0] * len(ids) for ids in records["candidate_ids"]])
    return rows.with_columns(
        kind=pl.lit("written"),
        item_ids=pl.Series(answers, dtype=pl.List(pl.String)),
        scores=pl.lit(None, dtype=pl.List(pl.Float64)),
    ).cast(pl.Schema(RANKINGS.columns))


def counted(rankings: pl.DataFrame, records: pl.DataFrame) -> Counts:
    return position_counts(rankings, records, score(rankings, records))


def shuffled(count: int, rng: np.random.Generator, length: int = 8) -> pl.DataFrame:
    """Return records whose lists are shuffled, and whose held-out item is any of them."""
    lists = [rng.permutation(ITEMS[:length]).tolist() for _ in range(count)]
    return made_records(lists, [str(rng.choice(ids)) for ids in lists])


def test_counts_of_four_records_are_those_of_the_eye():
    # held-out items at positions 2, 1, 1, 3; first: alone at 1, tied at 1 and 2, an invented item, nothing
    lists = [["a", "b", "c"], ["a", "b"], ["c", "a", "b"], ["a", "c", "b"]]
    records = made_records(lists, ["b", "a", "c", "b"])
    written = made_written(records, [["a", "b"], ["b", "a"], ["zzz", "c"], []])
    scored = from_scores("m", records, [[3.0, 2.0, 1.0], [1.0, 1.0], [0.0, 5.0, 5.0], [1.0, 1.0, 1.0]])
    counts = counted(pl.concat([written, scored]), records)
    assert list(counts) == [("m", "scored"), ("m", "written")]
    of_scores, of_answers = counts.values()
    for each in (of_scores, of_answers):
        assert each.n.tolist() == [2, 1, 1]
    # record 0: at 1; record 1: both; record 2: at 2 and 3; record 3: all. The held-out item of record 1 is tied for
    # the first place of two, that of record 3 for that of three
    assert of_scores.choices.tolist() == pytest.approx([1 + 1 / 2 + 1 / 3, 1 / 2 + 1 / 2 + 1 / 3, 1 / 2 + 1 / 3])
    assert of_scores.expected.tolist() == pytest.approx([1 / 3 + 1 / 2 + 2 / 3, 1 / 3 + 1 / 2 + 2 / 3, 1.0])
    assert of_scores.hits.tolist() == pytest.approx([1 / 2, 0, 1 / 3])
    assert of_answers.choices.tolist() == [1, 1, 0]
    assert of_answers.expected.tolist() == pytest.approx([1 / 3 + 1 / 2, 1 / 3 + 1 / 2, 1 / 3])
    assert of_answers.hits.tolist() == [0, 0, 0]


def test_chi_square_of_choices_is_that_worked_out_by_hand():
    counts = PositionCounts(np.full(4, 10.0), np.zeros(4), np.array([16.0, 10, 8, 6]), np.full(4, 10.0))
    row = choice_test(counts)
    # (36 + 0 + 4 + 16) / 10 = 5.6; of three degrees of freedom P(chi2 > 5.6) = 0.133 (a table of the distribution)
    assert (row["chi2"], row["df"], row["n"]) == (5.6, 3, 40)
    assert row["p"] == pytest.approx(0.133, abs=5e-4) and row["w"] == pytest.approx((5.6 / 40) ** 0.5, abs=1e-6)


def test_chi_square_of_hits_is_that_of_the_fourfold_table():
    hits, misses = np.array([30.0, 10.0]), np.array([20.0, 40.0])
    row = hit_test(PositionCounts(hits + misses, hits, np.zeros(2), np.zeros(2)))
    # n (ad - bc)^2 / (product of the margins) = 100 (30 * 40 - 10 * 20)^2 / (50 * 50 * 40 * 60)
    assert row["chi2"] == pytest.approx(100 * 1000**2 / (50 * 50 * 40 * 60), abs=1e-4) and row["df"] == 1
    assert row["p"] == pytest.approx(4.46e-5, rel=1e-2)  # two-sided p of a normal deviate of sqrt(16.67)


def test_positions_that_expect_too_little_are_put_together():
    few = PositionCounts(np.full(8, 4.0), np.array([4.0, 4, 4, 4, 0, 0, 0, 0]), np.zeros(8), np.zeros(8))
    row = hit_test(
        few
    )  # half are hits, so each position expects 2 hits and 2 misses: parts of 3, 3 and 2 would be short
    assert row["df"] == 1 and row["chi2"] == pytest.approx(32 * (12 * 16 - 4 * 0) ** 2 / (12 * 20 * 16 * 16), abs=1e-4)
    nothing = hit_test(PositionCounts(np.full(8, 4.0), np.zeros(8), np.zeros(8), np.zeros(8)))
    assert nothing == {"n": 32, "chi2": None, "df": None, "p": None, "w": None}


def by_position(bias: float, rng: np.random.Generator) -> Callable[[list[str]], list[float]]:
    """Return scores by taste, which the order knows nothing of, and a bonus for the beginning of the list."""
    taste = dict(zip(ITEMS, rng.random(len(ITEMS)), strict=True))
    return lambda ids: [taste[item] + rng.random() - bias * k for k, item in enumerate(ids)]


def test_a_planted_bias_is_seen_in_choices_and_hits_and_none_where_there_is_none():
    rng = np.random.default_rng(3)
    records = shuffled(600, rng)
    rankings = pl.concat(
        from_scores(name, records, [scores(ids) for ids in records["candidate_ids"].to_list()])
        for name, scores in (("biased", by_position(0.2, rng)), ("fair", by_position(0.0, rng)))
    )
    measured = position_bias({"setA": counted(rankings, records)})["setA"]
    biased, fair = measured["biased"]["scored"], measured["fair"]["scored"]
    assert biased["first_choices"]["p"] < 1e-12 and biased["hit@1"]["p"] < 1e-6 and biased["first_choices"]["w"] > 0.5
    shares = [part["first_choices"] for part in biased["parts"]]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1, abs=1e-5)
    assert [part["positions"] for part in biased["parts"]] == ["1-2", "3-4", "5-6", "7-8"]
    assert fair["first_choices"]["p"] > 0.05 and fair["hit@1"]["p"] > 0.05 and fair["n"] == 600


def test_methods_that_ignore_the_order_are_called_biased_in_five_of_a_hundred_cases():
    """However good and however sure of some items they are: simulated by lists that are shuffled once more."""
    rng, called = np.random.default_rng(5), {"first_choices": 0, "hit@1": 0}
    records = shuffled(300, rng)
    rankings = from_scores("m", records, [[float(item[1:]) for item in ids] for ids in records["candidate_ids"]])
    scores, rounds = score(rankings, records), 200
    for _ in range(rounds):
        again = records.with_columns(
            candidate_ids=pl.Series([rng.permutation(ids.to_list()).tolist() for ids in records["candidate_ids"]])
        )
        ((_, counts),) = position_counts(rankings, again, scores).items()
        called["first_choices"] += choice_test(counts)["p"] < 0.05
        called["hit@1"] += hit_test(counts)["p"] < 0.05
    assert all(0.02 <= count / rounds <= 0.09 for count in called.values()), called


def test_the_plot_has_every_position_of_every_set_and_no_share_of_nothing():
    records = made_records([["a", "b"], ["b", "a"]], ["a", "a"])
    plot = positions_plot({"setA": counted(made_written(records, [["a"], []]), records)})
    assert plot.rows() == [("setA", "m", "written", 1, 1, 1.0, 1.0), ("setA", "m", "written", 2, 1, 0.0, 0.0)]
    none = positions_plot({"setA": counted(made_written(records, [[], []]), records)})
    assert none["first_choices"].null_count() == 2
