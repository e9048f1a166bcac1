"""Forty predictors nobody would want, from what they say to what they score: every value is known beforehand.

A predictor is worth the mean over the ranks its truth can stand at, all equally likely; without any, nothing:
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

PLACE = 42  # of the truth among the hundred candidates as they are listed
C = [f"ITEM{k:06d}" for k in range(1, 101)]
TRUTH = C[PLACE - 1]
WRONG = [item for item in C if item != TRUTH]
FAKES = [f"FAKE{k:06d}" for k in range(100)]
NEVER: tuple[int, ...] = ()


def named(*items: str) -> str:
    """An answer that names items, best first."""
    return json.dumps([{"rank": place, "item_id": item} for place, item in enumerate(items, start=1)])


def at(place: int, length: int = 100) -> list[str]:
    """A list of candidates with the truth at a place."""
    return [*WRONG[: place - 1], TRUTH, *WRONG[place - 1 :]][:length]


def scores(better: int, level: int) -> list[float]:
    """A hundred scores: so many above the truth, so many others level with it, the rest below."""
    others = iter([2.0] * better + [1.0] * level + [0.0] * (99 - better - level))
    return [1.0 if item == TRUTH else next(others) for item in C]


def ranks(first: int, last: int) -> range:
    return range(first, last + 1)


WRITTEN: dict[str, tuple[str | None, Sequence[int]]] = {
    "the truth alone": (named(TRUTH), [1]),
    "the truth alone, not in an array": (json.dumps({"item_id": TRUTH}), [1]),
    "the truth a hundred times": (named(*[TRUTH] * 100), [1]),
    "the truth in small letters": (named(TRUTH.lower()), [1]),
    "the truth between blanks": (named(f"  {TRUTH}\n"), [1]),
    "one wrong item": (named(WRONG[0]), NEVER),
    "one wrong item a hundred times": (named(*[WRONG[0]] * 100), NEVER),
    "one wrong item nine times, then the truth": (named(*[WRONG[0]] * 9, TRUTH), [2]),
    "four wrong items twice, then the truth": (named(*WRONG[:4], *WRONG[:4], TRUTH), [5]),
    "nine inventions, then the truth": (named(*FAKES[:9], TRUTH), [10]),
    "ten inventions, then the truth": (named(*FAKES[:10], TRUTH), [11]),
    "one invention nine times, then the truth": (named(*FAKES[:1] * 9, TRUTH), [2]),
    "only inventions": (named(*FAKES), NEVER),
    "an empty array": ("[]", NEVER),
    "an empty text": ("", NEVER),
    "no text": (None, NEVER),
    "the truth in prose": (f"I would take {TRUTH}.", NEVER),
    "the truth in a thought without an end": (f"<think>{named(TRUTH)}", NEVER),
    "the truth in the thought, a wrong item in the answer": (f"<think>{named(TRUTH)}</think>{named(WRONG[0])}", NEVER),
    "the list of candidates, copied": (named(*C), [PLACE]),
    "the list of candidates, from its end": (named(*reversed(C)), [101 - PLACE]),
    "all candidates, the truth last": (named(*at(100)), [100]),
    "the first 5, the truth the last of them": (named(*at(5, 5)), [5]),
    "the first 5, the truth just behind them": (named(*at(6, 5)), NEVER),
    "the first 10, the truth the last of them": (named(*at(10, 10)), [10]),
    "99 of 100, the truth left out": (named(*at(100, 99)), NEVER),
    "ranks that run against the list": (json.dumps(json.loads(named(*at(3)))[::-1]), [3]),
    "a text that ends inside the seventh entry": (named(*at(6))[: named(*at(6, 6)).rindex("}") + 20], [6]),
}
SCORED: dict[str, tuple[list[float] | None, Sequence[int]]] = {
    "the same for all": ([-3.0] * 100, ranks(1, 100)),
    "plus and minus zero": ([0.0, -0.0] * 50, ranks(1, 100)),
    "the truth above all": (scores(0, 0), [1]),
    "the truth below all": (scores(99, 0), [100]),
    "the truth level with 9 at the top": (scores(0, 9), ranks(1, 10)),
    "the truth level with 9 across the tenth place": (scores(5, 9), ranks(6, 15)),
    "the truth level with one across the fifth place": (scores(4, 1), ranks(5, 6)),
    "the truth level with 9 at the bottom": (scores(90, 9), ranks(91, 100)),
    "two levels, the truth on the upper one": (scores(0, 49), ranks(1, 50)),
    "the last digit of a float tells": ([1.0 if item == TRUTH else 1.0 - 2**-53 for item in C], [1]),
    "the place in the list": ([float(place) for place in range(100)], [101 - PLACE]),
    "nobody could ask": (None, NEVER),
}


def worth(possible: Iterable[int]) -> dict[str, float]:
    """The formulas of above."""
    reached = list(possible)

    def mean(values: Iterable[float]) -> float:
        return sum(values) / len(reached) if reached else 0.0

    return {
        **{f"hit@{k}": mean(float(r <= k) for r in reached) for k in (1, 5, 10)},
        "mrr": mean(1 / r for r in reached),
        **{f"ndcg@{k}": mean(1 / log2(r + 1) if r <= k else 0.0 for r in reached) for k in (5, 10)},
    }


def of_written(text: str | None, candidates: list[str]) -> dict[str, float]:
    """From an answer's text to its metrics, as parse_answers and evaluate go."""
    records = made_records([candidates], [TRUTH])
    answer = dict.fromkeys(ANSWERS.columns) | {"method": "m", "record_id": "R0", "text": text}
    return score(rank_answers(pl.DataFrame([answer], schema=dict(ANSWERS.columns)), records), records).row(
        0, named=True
    )


def of_scored(loglik: list[float] | None, candidates: list[str]) -> dict[str, float]:
    """The same from likelihoods."""
    records = made_records([candidates], [TRUTH])
    likely = dict.fromkeys(LIKELIHOODS.columns) | {"method": "m", "record_id": "R0", "loglik": loglik}
    ranked = rank_likelihoods(pl.DataFrame([likely], schema=dict(LIKELIHOODS.columns)), records)
    return score(ranked, records).row(0, named=True)


def must_be_worth(found: dict[str, float], possible: Sequence[int]) -> None:
    expected = worth(possible)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)


def test_there_are_forty():
    assert len(WRITTEN) + len(SCORED) == 40


@pytest.mark.parametrize(("text", "possible"), WRITTEN.values(), ids=WRITTEN)
def test_written(text, possible):
    must_be_worth(of_written(text, C), possible)


@pytest.mark.parametrize(("loglik", "possible"), SCORED.values(), ids=SCORED)
def test_scored(loglik, possible):
    must_be_worth(of_scored(loglik, C), possible)


def test_where_the_truth_is_the_only_candidate_everything_is_one():
    for found in (of_written(named(TRUTH), [TRUTH]), of_scored([-7.0], [TRUTH])):
        must_be_worth(found, [1])


def test_the_specifications_values_of_a_hundred_ties():
    found = worth(ranks(1, 100))
    assert found["hit@10"] == pytest.approx(0.10) and found["mrr"] == pytest.approx(0.0519, abs=5e-5)
