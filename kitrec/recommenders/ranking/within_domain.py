"""Validation of cross-domain models: each target ranked among items of its own domain.

A domain of at most MAX_CANDIDATES items is ranked in full; from a larger one MAX_CANDIDATES items that the user has not
had are sampled once, the same for every epoch. Shapes: U users, C candidates, 0 where a list is shorter."""

from dataclasses import dataclass

import numpy as np

from kitrec.core.randomness import generator
from kitrec.core.ranking_metrics import mean_metrics
from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.item_domains import ItemDomains, NegativeSampler
from kitrec.recommenders.models.interface import Ranker

MAX_CANDIDATES = 1000


@dataclass(frozen=True)
class Validation:
    """Users, the item each of them chose next, and the candidates it is ranked among."""

    users: UserHistories
    targets: np.ndarray  # [U]
    candidates: np.ndarray  # [U, C]


def domain_validation(
    users: UserHistories, targets: np.ndarray, item_domains: ItemDomains, seed: int, limit: int = MAX_CANDIDATES
) -> Validation:
    """Build a validation with candidates from the targets' own domains."""
    sampler, rng = NegativeSampler(users.histories, item_domains), generator(seed, "crossdomain validation")
    candidates = np.zeros((len(targets), limit), dtype=np.int64)
    for domain in np.unique(item_domains.domains[targets]).tolist():
        rows = np.flatnonzero(item_domains.domains[targets] == domain)
        items = item_domains.items_of(domain)
        if len(items) <= limit:
            candidates[rows, : len(items)] = items
        else:
            candidates[rows] = sampler.sample(rng, rows, targets[rows], limit)
    in_history = sampler.are_positive(np.arange(len(targets))[:, None], candidates)
    candidates[in_history | (candidates == targets[:, None])] = 0
    return Validation(users, targets, candidates)


def evaluate(model: Ranker, validation: Validation) -> dict[str, float]:
    """Return the means over users of Hit@10, NDCG@10 and MRR."""
    return mean_metrics(*ranks(model, validation))


def ranks(model: Ranker, validation: Validation) -> tuple[np.ndarray, np.ndarray]:
    """Return how many candidates are better than each target, and how many equal (itself included)."""
    items = np.concatenate([validation.targets[:, None], validation.candidates], axis=1)
    real = validation.candidates > 0
    scores = model.candidate_scores(validation.users, np.where(items > 0, items, validation.targets[:, None]))
    target, others = scores[:, :1], scores[:, 1:]
    return ((others > target) & real).sum(1), ((others == target) & real).sum(1) + 1
