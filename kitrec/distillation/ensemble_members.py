"""Members of an ensemble teacher: models of this project fitted on training sequences alone, scores of all items.

    sequence models   trained in mode full_data: no validation selects anything
    item_knn, ease, random_walk
                      formulas as in kitrec/recommenders/models; here for all items at once. EASE's score of an item of
                      the history is not corrected for the diagonal: such items are never listed
Shapes: U histories, N items."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse

from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.sequences import Sequences, interaction_matrix
from kitrec.recommenders.models import ease, item_knn, random_walk
from kitrec.recommenders.models.interface import Ranker, Recommender
from kitrec.recommenders.models.registry import count_model
from kitrec.recommenders.params import NonParametricMethod, SequenceMethod
from kitrec.recommenders.ranking.full import represent
from kitrec.recommenders.sequence_training import train_sequence_model


class EnsembleMember(ABC):
    """A fitted `model` that scores all items."""

    model: Any  # a Recommender or a Ranker, depending on the subclass

    @abstractmethod
    def scores(self, histories: Sequences) -> np.ndarray:
        """Return [U, N] scores for histories of at least one item each."""

    @abstractmethod
    def item_vectors(self) -> np.ndarray | None:
        """Return the item vectors [N, d], or None if the model has none."""


class SequenceMember(EnsembleMember):
    def __init__(self, model: Recommender) -> None:
        self.model = model

    def scores(self, histories: Sequences) -> np.ndarray:
        weight, bias = self.model.output()
        with torch.inference_mode():
            scores = represent(self.model, histories) @ weight.T
            return (scores if bias is None else scores + bias).cpu().numpy()

    def item_vectors(self) -> np.ndarray | None:
        return self.model.output()[0].detach().cpu().numpy()


class ItemKNNMember(EnsembleMember):
    def __init__(self, model: item_knn.ItemKNN) -> None:
        self.model = model
        neighbours, similarities = model.get_buffer("neighbours").numpy(), model.get_buffer("similarities").numpy()
        self._items, columns = len(neighbours) - 1, np.repeat(np.arange(len(neighbours)), neighbours.shape[1])
        shape = (self._items + 1, self._items + 1)
        self._similarity = sparse.csr_matrix((similarities.ravel(), (neighbours.ravel(), columns)), shape=shape)

    def scores(self, histories: Sequences) -> np.ndarray:
        scores: np.ndarray = (interaction_matrix(histories, self._items) @ self._similarity).toarray()[:, 1:]
        return scores

    def item_vectors(self) -> np.ndarray | None:
        return None


class EASEMember(EnsembleMember):
    def __init__(self, model: ease.EASE) -> None:
        self.model = model
        self._input, self._output = model.get_buffer("encoder").numpy(), model.get_buffer("decoder").numpy()

    def scores(self, histories: Sequences) -> np.ndarray:
        scores: np.ndarray = (interaction_matrix(histories, len(self._input) - 1) @ self._input) @ self._output[1:].T
        return scores

    def item_vectors(self) -> np.ndarray | None:
        return self._input[1:]


class RandomWalkMember(EnsembleMember):
    def __init__(self, model: random_walk.RandomWalk) -> None:
        self.model = model

    def scores(self, histories: Sequences) -> np.ndarray:
        return self.model.scores(histories)[:, 1:]

    def item_vectors(self) -> np.ndarray | None:
        return None


def fit_member(
    p: SequenceMethod | NonParametricMethod, sequences: Sequences, items: int, seed: int, work: Path
) -> EnsembleMember:
    """Fit the model that the params describe."""
    if isinstance(p, SequenceMethod):
        return as_member(
            train_sequence_model(p, ItemFeatures(), items, sequences, None, seed, work, lambda _: None).model
        )
    return as_member(count_model(p.model, sequences, items, seed))


def as_member(model: Recommender | Ranker) -> EnsembleMember:
    """Wrap a fitted model as a member."""
    match model:
        case item_knn.ItemKNN():
            return ItemKNNMember(model)
        case ease.EASE():
            return EASEMember(model)
        case random_walk.RandomWalk():
            return RandomWalkMember(model)
        case Recommender():
            return SequenceMember(model)
        case _:
            raise ValueError(f"{type(model).__name__} cannot be a member of an ensemble")
