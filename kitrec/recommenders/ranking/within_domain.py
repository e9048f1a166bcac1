"""Validation of every model of two domains: each target ranked among items of its own domain.

A domain of at most MAX_CANDIDATES items is ranked in full; from a larger one MAX_CANDIDATES items that the user has not
had are sampled once, the same for every epoch and every model of one seed. Items of other domains are left out: half
of what a sequence model ranks first are books, and candidates are never books.
Shapes: U users, C candidates, 0 where a list is shorter."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from kitrec.core.randomness import generator
from kitrec.core.ranking_metrics import mean_metrics
from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.item_domains import ItemDomains, NegativeSampler
from kitrec.recommenders.data.sequences import Sequences
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
    return Validation(users, targets, domain_candidates(users.histories, targets, item_domains, seed, limit))


def domain_candidates(
    histories: Sequences, targets: np.ndarray, item_domains: ItemDomains, seed: int, limit: int = MAX_CANDIDATES
) -> np.ndarray:
    """Return [U, C] candidates of the targets' own domains that the users have not had."""
    sampler, rng = NegativeSampler(histories, item_domains), generator(seed, "crossdomain validation")
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
    return candidates


def evaluate(model: Ranker, validation: Validation) -> dict[str, float]:
    """Return the means over users of Hit@10, NDCG@10 and MRR."""
    return mean_metrics(*ranks(model, validation))


def ranks(model: Ranker, validation: Validation) -> tuple[np.ndarray, np.ndarray]:
    """Return how many candidates are better than each target, and how many equal (itself included)."""
    return ranks_among(partial(model.candidate_scores, validation.users), validation.targets, validation.candidates)


def ranks_among(
    scores_of: Callable[[np.ndarray], np.ndarray], targets: np.ndarray, candidates: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the same two counts of a function that scores item numbers [U, n] of the users."""
    items = np.concatenate([targets[:, None], candidates], axis=1)
    real = candidates > 0
    scores = scores_of(np.where(items > 0, items, targets[:, None]))
    target, others = scores[:, :1], scores[:, 1:]
    return ((others > target) & real).sum(1), ((others == target) & real).sum(1) + 1
