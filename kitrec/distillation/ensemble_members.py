"""The members of a teacher made of this project's own models: fitted on training sequences alone, scores of all items.

    sequence models   idrec.fitting, mode full_data: no validation chooses anything
    item_knn, ease, random_walk
                      as in crossdomain/, where the formulas stand; here scores of all items at once. What EASE says of
                      an item that the reader has is not corrected for its diagonal: such items are never listed
Shapes: U histories, N items."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse

from kitrec.recommenders.data.interaction_matrix import matrix
from kitrec.recommenders.data.item_metadata import Known
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models import ease, item_knn, random_walk
from kitrec.recommenders.models.cross_domain_model import Ranker
from kitrec.recommenders.models.registry import count_model
from kitrec.recommenders.models.sequence_model import Recommender
from kitrec.recommenders.params import Counted, Method
from kitrec.recommenders.ranking.full import represent
from kitrec.recommenders.sequence_training import train_sequence_model


class Member(ABC):
    """A fitted `model` that scores all items."""

    model: Any  # a Recommender or a Ranker: each kind of member knows its own

    @abstractmethod
    def scores(self, histories: Sequences) -> np.ndarray:
        """[U, N] for histories of at least one item each."""

    @abstractmethod
    def vectors(self) -> np.ndarray | None:
        """[N, d] what the member knows of each item, if it has vectors."""


class SequenceMember(Member):
    def __init__(self, model: Recommender) -> None:
        self.model = model

    def scores(self, histories: Sequences) -> np.ndarray:
        weight, bias = self.model.output()
        with torch.inference_mode():
            found = represent(self.model, histories) @ weight.T
            return (found if bias is None else found + bias).cpu().numpy()

    def vectors(self) -> np.ndarray | None:
        return self.model.output()[0].detach().cpu().numpy()


class NeighbourMember(Member):
    def __init__(self, model: item_knn.ItemKNN) -> None:
        self.model = model
        near, similar = model.get_buffer("neighbours").numpy(), model.get_buffer("similarities").numpy()
        self._items, owned = len(near) - 1, np.repeat(np.arange(len(near)), near.shape[1])
        shape = (self._items + 1, self._items + 1)
        self._nearest = sparse.csr_matrix((similar.ravel(), (near.ravel(), owned)), shape=shape)

    def scores(self, histories: Sequences) -> np.ndarray:
        found: np.ndarray = (matrix(histories, self._items) @ self._nearest).toarray()[:, 1:]
        return found

    def vectors(self) -> np.ndarray | None:
        return None


class EASEMember(Member):
    def __init__(self, model: ease.EASE) -> None:
        self.model = model
        self._read, self._written = model.get_buffer("read").numpy(), model.get_buffer("written").numpy()

    def scores(self, histories: Sequences) -> np.ndarray:
        found: np.ndarray = (matrix(histories, len(self._read) - 1) @ self._read) @ self._written[1:].T
        return found

    def vectors(self) -> np.ndarray | None:
        return self._read[1:]


class WalkMember(Member):
    def __init__(self, model: random_walk.RandomWalk) -> None:
        self.model = model

    def scores(self, histories: Sequences) -> np.ndarray:
        return self.model.scores(histories)[:, 1:]

    def vectors(self) -> np.ndarray | None:
        return None


def member(p: Method | Counted, sequences: Sequences, items: int, seed: int, work: Path) -> Member:
    """Fit one member."""
    if isinstance(p, Method):
        return member_of(train_sequence_model(p, Known(), items, sequences, None, seed, work, lambda _: None).model)
    return member_of(count_model(p.model, sequences, items, seed))


def member_of(model: Recommender | Ranker) -> Member:
    """A fitted model as a member."""
    match model:
        case item_knn.ItemKNN():
            return NeighbourMember(model)
        case ease.EASE():
            return EASEMember(model)
        case random_walk.RandomWalk():
            return WalkMember(model)
        case Recommender():
            return SequenceMember(model)
        case _:
            raise ValueError(f"{type(model).__name__} is no member of a teacher")
