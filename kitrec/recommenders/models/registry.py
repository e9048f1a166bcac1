"""All recommenders by their params: the one place that builds, computes and restores every kind."""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import nn

from kitrec.recommenders.data.item_domains import ItemDomains
from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models import ease, item_knn, params, popularity, random_walk
from kitrec.recommenders.models.bert4rec import BERT4Rec
from kitrec.recommenders.models.bpr_mf import BPRMF
from kitrec.recommenders.models.caser import Caser
from kitrec.recommenders.models.conet import CoNet
from kitrec.recommenders.models.dtcdr import DTCDR
from kitrec.recommenders.models.gru4rec import GRU4Rec
from kitrec.recommenders.models.interface import Learner, Ranker, Recommender
from kitrec.recommenders.models.sasrec import SASRec
from kitrec.recommenders.models.sscdr import SSCDR

ModelParams = Annotated[
    params.SASRec
    | params.BERT4Rec
    | params.GRU4Rec
    | params.Caser
    | params.CrossDomainModel
    | params.NonParametricModel,
    Field(discriminator="kind"),
]
_NON_PARAMETRIC: dict[type, type[Ranker]] = {
    params.ItemKNN: item_knn.ItemKNN,
    params.EASE: ease.EASE,
    params.RandomWalk: random_walk.RandomWalk,
    params.Popularity: popularity.Popularity,
}


def build_sequence_model(p: params.SequenceModel, items: int, features: ItemFeatures | None = None) -> Recommender:
    """Create a sequence model of `items` items; only BERT4Rec reads metadata."""
    match p:
        case params.SASRec():
            return SASRec(items, p)
        case params.GRU4Rec():
            return GRU4Rec(items, p)
        case params.Caser():
            return Caser(items, p)
        case params.BERT4Rec():
            return BERT4Rec(items, p, features)


def build_cross_domain_model(
    p: params.CrossDomainModel, item_domains: ItemDomains, users: int | None = None, titles: np.ndarray | None = None
) -> Learner:
    """Create a model over two domains: the history form, or the paper's if the number of `users` is given."""
    match p:
        case params.CoNet():
            return CoNet(item_domains, users, p)
        case params.DTCDR():
            return DTCDR(item_domains, users, p, titles)
        case params.SSCDR():
            return SSCDR(item_domains, users, p)
        case params.BPRMF():
            return BPRMF(item_domains, users, p)


def count_model(p: params.NonParametricModel, histories: Sequences, items: int, seed: int) -> Ranker:
    """Compute a model from the histories, without gradient training."""
    match p:
        case params.ItemKNN():
            return item_knn.fit(histories, items, p)
        case params.EASE():
            return ease.fit(histories, items, p, seed)
        case params.RandomWalk():
            return random_walk.fit(histories, items, p)
        case params.Popularity():
            return popularity.fit(histories, items)


def restore_model(p: ModelParams, items: int, features: ItemFeatures, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    """Create the model of stored params and weights, of any kind."""
    for kind, model_type in _NON_PARAMETRIC.items():
        if isinstance(p, kind):
            return model_type(**tensors)
    model: nn.Module
    if isinstance(p, params.CrossDomainModel):
        titles = tensors["titles"].numpy() if "titles" in tensors else None
        model = build_cross_domain_model(p, ItemDomains(tensors["domains"].numpy()), titles=titles)
    else:
        assert not isinstance(p, params.NonParametricModel)
        model = build_sequence_model(p, items, features)
    model.load_state_dict(tensors)
    return model
