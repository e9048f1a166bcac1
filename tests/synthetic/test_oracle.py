from dataclasses import replace
from itertools import combinations
from math import exp, log

import numpy as np
import polars as pl
import pytest

from kitrec.evaluation.scoring import score
from kitrec.schemas.rankings import from_scores
from kitrec.synthetic import oracle
from tests.conftest import WORLD

TINY = replace(WORLD, themes=4, favourites=2, theme_strength=1.2)
ITEMS = pl.DataFrame(
    {"item_id": ["b1", "b2", "b3", "m1", "m2", "m3"], "has_metadata": [True, True, True, True, True, False]}
)
TRUTH = pl.DataFrame(
    {
        "item_id": ["b1", "b2", "b3", "m1", "m2", "m3"],
        "domain": ["books"] * 3 + ["movies"] * 3,
        "themes": [[0, 1], [2, 3], [1, 2], [0, 1], [2, 3], [0, 3]],
    }
)


def test_the_text_oracle_equals_bayes_rule_by_hand():
    record = {"source_items": ["b1", "b3"], "target_items": [], "candidate_ids": ["m1", "m2", "m3"]}
    themes = dict(zip(TRUTH["item_id"], TRUTH["themes"].to_list(), strict=True))

    def weight(favourites: tuple[int, ...], item: str) -> float:
        return exp(1.2 * len(set(favourites) & set(themes[item])))

    def probability(favourites: tuple[int, ...], item: str, domain: list[str]) -> float:
        if item == "m3":  # without text: an average item of its domain
            return 1 / 3
        return weight(favourites, item) / sum(weight(favourites, other) for other in domain)

    sets = list(combinations(range(4), 2))
    posterior = {f: np.prod([probability(f, h, ["b1", "b2", "b3"]) for h in ("b1", "b3")]) for f in sets}
    total = sum(posterior.values())
    expected = [
        log(sum(posterior[f] / total * probability(f, m, ["m1", "m2", "m3"]) for f in sets)) for m in ("m1", "m2", "m3")
    ]
    scores = oracle.TastePosterior(TINY, ITEMS, TRUTH).scores(record)
    assert scores == pytest.approx(expected, abs=1e-12)
    assert scores[0] > scores[2] > scores[1]


def test_more_knowledge_scores_higher_and_set_a_is_harder(world, dataset):
    means = {}
    for which in "AB":
        records = pl.concat([dataset.records[which][role] for role in ("train", "development", "test")])
        scores = {
            "oracle": oracle.oracle_scores(WORLD, records, world.item_truth, world.user_truth),
            "oracle_text": oracle.text_oracle_scores(WORLD, records, world.items, world.item_truth),
            "popularity": oracle.popularity_scores(records, dataset.interactions["train"]),
            "random": oracle.random_scores(records),
        }
        for name, values in scores.items():
            means[name, which] = score(from_scores(name, records, values), records)["hit@1"].mean()
    for which in "AB":
        assert means["oracle", which] > means["oracle_text", which] > means["random", which]
        assert means["random", which] == pytest.approx(1 / 20)
    assert means["oracle_text", "A"] < means["oracle_text", "B"]
    assert means["oracle", "A"] < means["oracle", "B"]


def test_the_text_oracle_ignores_community_and_popularity(world, dataset):
    records = dataset.records["B"]["test"]
    hidden = world.item_truth.with_columns(community=pl.lit(0), log_popularity=pl.lit(0.0), release=pl.lit(0))
    expected = oracle.text_oracle_scores(WORLD, records, world.items, world.item_truth)
    assert oracle.text_oracle_scores(WORLD, records, world.items, hidden) == expected
