"""Forty degenerate predictors from answer to score: every value is known beforehand.

A predictor scores the mean over the equally likely ranks of the held-out item, and zero without any rank:
    Hit@k: r <= k      MRR: 1 / r      NDCG@k: 1 / log2(r + 1) where r <= k"""

import json
from collections.abc import Iterable, Sequence
from math import log2

import polars as pl
import pytest

from kitrec.evaluation.scoring import score
from kitrec.parsing.rankings import rank_answers, rank_likelihoods
from kitrec.schemas.answers import ANSWERS
from kitrec.schemas.likelihoods import LIKELIHOODS
from tests.evaluation.made_records import made_records

POSITION = 42  # of the held-out item among the hundred candidates as listed
C = [f"ITEM{k:06d}" for k in range(1, 101)]
GT = C[POSITION - 1]
WRONG = [item for item in C if item != GT]
FAKES = [f"FAKE{k:06d}" for k in range(100)]
NO_RANK: tuple[int, ...] = ()


def answer(*items: str) -> str:
    """Return an answer that names items, best first."""
    return json.dumps([{"rank": rank, "item_id": item} for rank, item in enumerate(items, start=1)])


def ranked(rank: int, length: int = 100) -> list[str]:
    """Return candidates with the held-out item at a rank."""
    return [*WRONG[: rank - 1], GT, *WRONG[rank - 1 :]][:length]


def scores(better: int, level: int) -> list[float]:
    """Return a hundred scores: `better` above the held-out item, `level` others equal to it, the rest below."""
    others = iter([2.0] * better + [1.0] * level + [0.0] * (99 - better - level))
    return [1.0 if item == GT else next(others) for item in C]


def ranks(first: int, last: int) -> range:
    return range(first, last + 1)


WRITTEN: dict[str, tuple[str | None, Sequence[int]]] = {
    "the item alone": (answer(GT), [1]),
    "the item alone, not in an array": (json.dumps({"item_id": GT}), [1]),
    "the item a hundred times": (answer(*[GT] * 100), [1]),
    "the item in small letters": (answer(GT.lower()), [1]),
    "the item between blanks": (answer(f"  {GT}\n"), [1]),
    "one wrong item": (answer(WRONG[0]), NO_RANK),
    "one wrong item a hundred times": (answer(*[WRONG[0]] * 100), NO_RANK),
    "one wrong item nine times, then the item": (answer(*[WRONG[0]] * 9, GT), [2]),
    "four wrong items twice, then the item": (answer(*WRONG[:4], *WRONG[:4], GT), [5]),
    "nine inventions, then the item": (answer(*FAKES[:9], GT), [10]),
    "ten inventions, then the item": (answer(*FAKES[:10], GT), [11]),
    "one invention nine times, then the item": (answer(*FAKES[:1] * 9, GT), [2]),
    "only inventions": (answer(*FAKES), NO_RANK),
    "an empty array": ("[]", NO_RANK),
    "an empty text": ("", NO_RANK),
    "no text": (None, NO_RANK),
    "the item in prose": (f"I would take {GT}.", NO_RANK),
    "the item in a thought without an end": (f"<think>{answer(GT)}", NO_RANK),
    "the item in the thought, a wrong item in the answer": (
        f"<think>{answer(GT)}</think>{answer(WRONG[0])}",
        NO_RANK,
    ),
    "the list of candidates, copied": (answer(*C), [POSITION]),
    "the list of candidates, from its end": (answer(*reversed(C)), [101 - POSITION]),
    "all candidates, the item last": (answer(*ranked(100)), [100]),
    "the first 5, the item the last of them": (answer(*ranked(5, 5)), [5]),
    "the first 5, the item just behind them": (answer(*ranked(6, 5)), NO_RANK),
    "the first 10, the item the last of them": (answer(*ranked(10, 10)), [10]),
    "99 of 100, the item left out": (answer(*ranked(100, 99)), NO_RANK),
    "ranks that run against the list": (json.dumps(json.loads(answer(*ranked(3)))[::-1]), [3]),
    "a text that ends inside the seventh entry": (
        answer(*ranked(6))[: answer(*ranked(6, 6)).rindex("}") + 20],
        [6],
    ),
}
SCORED: dict[str, tuple[list[float] | None, Sequence[int]]] = {
    "the same for all": ([-3.0] * 100, ranks(1, 100)),
    "plus and minus zero": ([0.0, -0.0] * 50, ranks(1, 100)),
    "the item above all": (scores(0, 0), [1]),
    "the item below all": (scores(99, 0), [100]),
    "the item level with 9 at the top": (scores(0, 9), ranks(1, 10)),
    "the item level with 9 across the tenth rank": (scores(5, 9), ranks(6, 15)),
    "the item level with one across the fifth rank": (scores(4, 1), ranks(5, 6)),
    "the item level with 9 at the bottom": (scores(90, 9), ranks(91, 100)),
    "two levels, the item on the upper one": (scores(0, 49), ranks(1, 50)),
    "the last digit of a float tells": ([1.0 if item == GT else 1.0 - 2**-53 for item in C], [1]),
    "the position in the list": ([float(position) for position in range(100)], [101 - POSITION]),
    "no likelihoods": (None, NO_RANK),
}


def expected_metrics(possible: Iterable[int]) -> dict[str, float]:
    """Return the metrics by the formulas above."""
    ranks = list(possible)

    def mean(values: Iterable[float]) -> float:
        return sum(values) / len(ranks) if ranks else 0.0

    return {
        **{f"hit@{k}": mean(float(r <= k) for r in ranks) for k in (1, 5, 10)},
        "mrr": mean(1 / r for r in ranks),
        **{f"ndcg@{k}": mean(1 / log2(r + 1) if r <= k else 0.0 for r in ranks) for k in (5, 10)},
    }


def score_written(text: str | None, candidates: list[str]) -> dict[str, float]:
    """Return the metrics of an answer's text, computed as by parse_answers and evaluate."""
    records = made_records([candidates], [GT])
    row = dict.fromkeys(ANSWERS.columns) | {"method": "m", "record_id": "R0", "text": text}
    answers = pl.DataFrame([row], schema=dict(ANSWERS.columns))
    return score(rank_answers(answers, records, answer_items=1), records).row(0, named=True)


def score_scored(loglik: list[float] | None, candidates: list[str]) -> dict[str, float]:
    """Return the metrics of likelihoods."""
    records = made_records([candidates], [GT])
    likely = dict.fromkeys(LIKELIHOODS.columns) | {"method": "m", "record_id": "R0", "loglik": loglik}
    rankings = rank_likelihoods(pl.DataFrame([likely], schema=dict(LIKELIHOODS.columns)), records)
    return score(rankings, records).row(0, named=True)


def assert_metrics(result: dict[str, float], possible: Sequence[int]) -> None:
    expected = expected_metrics(possible)
    assert {name: result[name] for name in expected} == pytest.approx(expected, abs=1e-9)


def test_there_are_forty_predictors():
    assert len(WRITTEN) + len(SCORED) == 40


@pytest.mark.parametrize(("text", "possible"), WRITTEN.values(), ids=WRITTEN)
def test_written_predictors_score_as_expected(text, possible):
    assert_metrics(score_written(text, C), possible)


@pytest.mark.parametrize(("loglik", "possible"), SCORED.values(), ids=SCORED)
def test_scored_predictors_score_as_expected(loglik, possible):
    assert_metrics(score_scored(loglik, C), possible)


def test_a_single_candidate_scores_one_in_every_metric():
    for result in (score_written(answer(GT), [GT]), score_scored([-7.0], [GT])):
        assert_metrics(result, [1])


def test_a_hundred_ties_match_the_values_of_the_specification():
    result = expected_metrics(ranks(1, 100))
    assert result["hit@10"] == pytest.approx(0.10) and result["mrr"] == pytest.approx(0.0519, abs=5e-5)
