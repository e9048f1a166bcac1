"""One selection rule: the target domain's items that the user has not had, the same ones for every kind of model."""

import numpy as np
import polars as pl
import torch

from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.item_domains import item_domains_of
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.ranking import within_domain
from kitrec.recommenders.ranking.full import represent
from kitrec.recommenders.train import development_validation
from tests.recommenders.made_models import KINDS, made_model

BOOKS, MOVIES, MUSIC = ([f"{domain}{k:02d}" for k in range(10)] for domain in "abc")
DOMAIN_OF = {
    item: domain for domain, items in {"books": BOOKS, "movies": MOVIES, "music": MUSIC}.items() for item in items
}
VOCABULARY = Vocabulary(DOMAIN_OF)


def taken(user: str, items: list[str]) -> pl.DataFrame:
    rows = {"user_id": user, "item_id": items, "domain": [DOMAIN_OF[item] for item in items], "rating": 5.0}
    return pl.DataFrame({**rows, "time": range(len(items)), "held_out": [False] * (len(items) - 1) + [True]})


DEVELOPMENT = pl.concat([taken("u", [BOOKS[0], MOVIES[1], BOOKS[2], MOVIES[3]]), taken("v", [BOOKS[5], MUSIC[4]])])
DOMAINS = item_domains_of(
    pl.DataFrame({"item_id": list(DOMAIN_OF), "domain": list(DOMAIN_OF.values())}), ["movies", "music"], VOCABULARY
)
VALIDATION = development_validation(DEVELOPMENT, "both", VOCABULARY, DOMAINS, seed=0)


def test_candidates_are_the_domain_without_what_the_user_had():
    listed = [{VOCABULARY.ids(np.array([n]))[0] for n in row if n} for row in VALIDATION.candidates]
    assert listed == [set(MOVIES) - {MOVIES[1], MOVIES[3]}, set(MUSIC) - {MUSIC[4]}]


def test_sequence_models_are_ranked_among_them():
    for kind in KINDS:
        model = made_model(kind).eval()
        with torch.inference_mode():
            weight, bias = model.output()
            scores = represent(model, VALIDATION.histories) @ weight.T + (0 if bias is None else bias)
        better, equal = VALIDATION.ranks(model)
        for row, (target, listed) in enumerate(zip(VALIDATION.targets, VALIDATION.candidates, strict=True)):
            others = scores[row, torch.from_numpy(listed[listed > 0]) - 1]
            assert better[row] == int((others > scores[row, target - 1]).sum()) and equal[row] == 1


def test_other_kinds_of_models_have_the_same_candidates():
    users = UserHistories(VALIDATION.histories)
    other = within_domain.domain_validation(users, VALIDATION.targets, DOMAINS, seed=0)
    assert np.array_equal(other.candidates, VALIDATION.candidates)


def test_a_large_domain_is_sampled_once_for_all():
    few = [within_domain.domain_candidates(VALIDATION.histories, VALIDATION.targets, DOMAINS, 0, 4) for _ in "ab"]
    assert np.array_equal(*few) and few[0].shape == (2, 4)
    assert not np.isin(few[0], VALIDATION.targets).all()
