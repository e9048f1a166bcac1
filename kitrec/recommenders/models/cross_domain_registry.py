"""A model from its params: the one place that knows all kinds."""

import numpy as np

from kitrec.recommenders.data.item_domains import ItemDomains
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models import ease, item_knn, params, popularity, random_walk
from kitrec.recommenders.models.bpr_mf import BPRMF
from kitrec.recommenders.models.conet import CoNet
from kitrec.recommenders.models.cross_domain_model import Learner, Ranker
from kitrec.recommenders.models.dtcdr import DTCDR
from kitrec.recommenders.models.sscdr import SSCDR


def build(
    p: params.CrossDomainModel, catalogue: ItemDomains, users: int | None = None, titles: np.ndarray | None = None
) -> Learner:
    """A fresh model: the history form, or the paper's where `users` says how many there are."""
    match p:
        case params.CoNet():
            return CoNet(catalogue, users, p)
        case params.DTCDR():
            return DTCDR(catalogue, users, p, titles)
        case params.SSCDR():
            return SSCDR(catalogue, users, p)
        case params.BPRMF():
            return BPRMF(catalogue, users, p)


def tally(p: params.NonParametricModel, histories: Sequences, items: int, seed: int) -> Ranker:
    """A model that is computed and not trained."""
    match p:
        case params.ItemKNN():
            return item_knn.fit(histories, items, p)
        case params.EASE():
            return ease.fit(histories, items, p, seed)
        case params.RandomWalk():
            return random_walk.fit(histories, items, p)
        case params.Popularity():
            return popularity.fit(histories, items)
