"""All recommenders by their params: the one place that builds, counts and restores every kind."""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import nn

from kitrec.recommenders import params as sequence_params
from kitrec.recommenders.data.item_domains import Catalogue
from kitrec.recommenders.data.item_metadata import Known
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models import params
from kitrec.recommenders.models.bert4rec import BERT4Rec
from kitrec.recommenders.models.bpr_mf import BPRMF
from kitrec.recommenders.models.caser import Caser
from kitrec.recommenders.models.conet import CoNet
from kitrec.recommenders.models.cross_domain_model import Learner, Ranker
from kitrec.recommenders.models.dtcdr import DTCDR
from kitrec.recommenders.models.ease import EASE
from kitrec.recommenders.models.ease import count as count_ease
from kitrec.recommenders.models.gru4rec import GRU4Rec
from kitrec.recommenders.models.item_knn import ItemKNN
from kitrec.recommenders.models.item_knn import count as count_item_knn
from kitrec.recommenders.models.popularity import Popularity
from kitrec.recommenders.models.popularity import count as count_popularity
from kitrec.recommenders.models.random_walk import RandomWalk
from kitrec.recommenders.models.random_walk import count as count_random_walk
from kitrec.recommenders.models.sasrec import SASRec
from kitrec.recommenders.models.sequence_model import Recommender
from kitrec.recommenders.models.sscdr import SSCDR

_AnyParams = (
    sequence_params.SASRec
    | sequence_params.BERT4Rec
    | sequence_params.GRU4Rec
    | sequence_params.Caser
    | params.Learned
    | params.Counted
)
ModelParams = Annotated[_AnyParams, Field(discriminator="kind")]
_COUNTED: dict[type, type[Ranker]] = {
    params.ItemKNN: ItemKNN,
    params.EASE: EASE,
    params.RandomWalk: RandomWalk,
    params.Popularity: Popularity,
}


def build_sequence_model(p: sequence_params.Model, items: int, known: Known | None = None) -> Recommender:
    """A new sequence model of `items` items; only BERT4Rec reads metadata."""
    match p:
        case sequence_params.SASRec():
            return SASRec(items, p)
        case sequence_params.GRU4Rec():
            return GRU4Rec(items, p)
        case sequence_params.Caser():
            return Caser(items, p)
        case sequence_params.BERT4Rec():
            return BERT4Rec(items, p, known)


def build_cross_domain_model(
    p: params.Learned, catalogue: Catalogue, users: int | None = None, titles: np.ndarray | None = None
) -> Learner:
    """A new model over two domains: the history form, or the paper's where `users` says how many there are."""
    match p:
        case params.CoNet():
            return CoNet(catalogue, users, p)
        case params.DTCDR():
            return DTCDR(catalogue, users, p, titles)
        case params.SSCDR():
            return SSCDR(catalogue, users, p)
        case params.BPRMF():
            return BPRMF(catalogue, users, p)


def count_model(p: params.Counted, histories: Sequences, items: int, seed: int) -> Ranker:
    """A model that is computed from the histories, without training."""
    match p:
        case params.ItemKNN():
            return count_item_knn(histories, items, p)
        case params.EASE():
            return count_ease(histories, items, p, seed)
        case params.RandomWalk():
            return count_random_walk(histories, items, p)
        case params.Popularity():
            return count_popularity(histories, items)


def restore_model(p: ModelParams, items: int, known: Known, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    """The model of stored params and weights, of any kind."""
    for kind, counted in _COUNTED.items():
        if isinstance(p, kind):
            return counted(**tensors)
    model: nn.Module
    if isinstance(p, params.Learned):
        titles = tensors["titles"].numpy() if "titles" in tensors else None
        model = build_cross_domain_model(p, Catalogue(tensors["domains"].numpy()), titles=titles)
    else:
        assert not isinstance(p, params.Counted)
        model = build_sequence_model(p, items, known)
    model.load_state_dict(tensors)
    return model
