"""How good a model over two domains is on the validation: each truth among items of its own domain.

A domain of at most MOST items is ranked whole; of a larger one MOST items the reader does not know are drawn once, the
same for every epoch. Shapes: U readers, C candidates, 0 where a list is shorter."""

from dataclasses import dataclass

import numpy as np

from kitrec.core.randomness import generator
from kitrec.recommenders.data.cross_domain_batches import Readers
from kitrec.recommenders.data.item_domains import Catalogue, Unknown
from kitrec.recommenders.models.cross_domain_model import Ranker
from kitrec.recommenders.ranking.full import quality

MOST = 1000


@dataclass(frozen=True)
class Validation:
    """Readers, what they took next, and the items it is ranked among."""

    readers: Readers
    truths: np.ndarray  # [U]
    candidates: np.ndarray  # [U, C]


def against(readers: Readers, truths: np.ndarray, catalogue: Catalogue, seed: int, most: int = MOST) -> Validation:
    """A validation against the truths' own domains."""
    unknown, rng = Unknown(readers.histories, catalogue), generator(seed, "crossdomain validation")
    candidates = np.zeros((len(truths), most), dtype=np.int64)
    for domain in np.unique(catalogue.domains[truths]).tolist():
        rows = np.flatnonzero(catalogue.domains[truths] == domain)
        items = catalogue.of_domain(domain)
        if len(items) <= most:
            candidates[rows, : len(items)] = items
        else:
            candidates[rows] = unknown.drawn(rng, rows, truths[rows], most)
    owned = unknown.are_known(np.arange(len(truths))[:, None], candidates)
    candidates[owned | (candidates == truths[:, None])] = 0
    return Validation(readers, truths, candidates)


def judged(model: Ranker, validation: Validation) -> dict[str, float]:
    """Means over readers of Hit@10, NDCG@10 and MRR."""
    return quality(*places(model, validation))


def places(model: Ranker, validation: Validation) -> tuple[np.ndarray, np.ndarray]:
    """How many candidates are better than each truth, and how many equal (itself included)."""
    listed = np.concatenate([validation.truths[:, None], validation.candidates], axis=1)
    real = validation.candidates > 0
    scores = model.candidate_scores(validation.readers, np.where(listed > 0, listed, validation.truths[:, None]))
    truth, others = scores[:, :1], scores[:, 1:]
    return ((others > truth) & real).sum(1), ((others == truth) & real).sum(1) + 1
