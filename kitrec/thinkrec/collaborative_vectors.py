"""Vectors of users and items from the project's own models over item numbers, as tables that shards hold.

One projector reads both kinds, so both are brought to one scale: a user's vector to length sqrt(d), the table of items
to a mean square of 1. No user's order of items changes by that. (SASRec's states are some twenty times as long as its
item vectors; standardised together, items would all look the same.) A model with biases of items gives vectors one
longer: [p_u, c] . [q_i, b_i / c] is its order, with the c that makes the last number as large beside p_u as beside q_i.
Shapes: n ids, d width."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import torch

from kitrec.core.errors import InputError
from kitrec.recommenders.data.cross_domain_batches import Readers, ask
from kitrec.recommenders.data.sequences import Sequences, of_lists
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models.bpr_mf import BPRMF
from kitrec.recommenders.ranking.full import represent
from kitrec.recommenders.storage import StoredModel, load_model
from kitrec.thinkrec.labelled_models import LabelledSASRec
from kitrec.thinkrec.labelled_rows import Labelled
from kitrec.thinkrec.labelled_training import LabelledResult
from kitrec.thinkrec.vector_shards import Vectors


@dataclass(frozen=True)
class Seeing:
    """A stored model whose vectors prompts can show."""

    vocabulary: Vocabulary
    of: Callable[[list[str], Sequences], tuple[Vectors, Vectors]]  # users, what each met -> (users, items)

    def of_histories(self, history_of: Mapping[str, Sequence[str]]) -> tuple[Vectors, Vectors]:
        """(users, items) for users who met these items; items it does not know are left out."""
        numbers = [self.vocabulary.numbers(pl.Series(own, dtype=pl.String)) for own in history_of.values()]
        return self.of(list(history_of), of_lists(own[own > 0] for own in numbers))


def load_seeing(folder: Path) -> Seeing:
    """Of a folder of data/idrec or of `kitrec fit`: a sequence model, or BPR-MF."""
    stored = load_model(folder)
    if not stored.is_cross_domain:
        return Seeing(stored.vocabulary, partial(of_sequence_model, stored))
    if not isinstance(stored.model, BPRMF):
        raise InputError(f"{folder} has no one vector for a user and an item: take a sequence model or bpr_mf")
    return Seeing(stored.vocabulary, partial(of_bpr_mf, stored.model, stored.vocabulary))


@torch.inference_mode()
def of_sequence_model(stored: StoredModel, users: list[str], histories: Sequences) -> tuple[Vectors, Vectors]:
    """(users, items) of a model of kitrec/idrec; a user without a known item has no vector."""
    read = np.flatnonzero(histories.lengths > 0)
    items = stored.model.output()[0].float().cpu().numpy()
    states = represent(stored.model, histories.take(read)).float().cpu().numpy() if len(read) else items[:0]
    return Vectors([users[k] for k in read], unit(states)), Vectors(stored.vocabulary.item_ids, unit_table(items))


@torch.inference_mode()
def of_bpr_mf(model: BPRMF, vocabulary: Vocabulary, users: list[str], histories: Sequences) -> tuple[Vectors, Vectors]:
    """(users, items) of the cross-domain BPR-MF in its history form; a user without a known item has no vector."""
    read = np.flatnonzero(histories.lengths > 0)
    asked = ask(Readers(histories), model.catalogue.sides, read, device=model.device)
    states = model.readers(asked, model.read.weight)[0].float().cpu().numpy()
    items = model.items.weight[1:].float().cpu().numpy()
    bias, read_by = model.bias.weight[1:, 0].float().cpu().numpy(), model.read.weight[1:].float().cpu().numpy()
    states, items = with_bias(states, items, bias, _rms(read_by))
    return Vectors([users[k] for k in read], unit(states)), Vectors(vocabulary.item_ids, unit_table(items))


@torch.inference_mode()
def of_labelled_model(fitted: LabelledResult, labelled: Labelled) -> tuple[Vectors, Vectors]:
    """(users, items) of a model of likes; a user's vector is that of their newest row, where it is not nothing."""
    newest = {user: row for row, user in enumerate(labelled.users)}
    rows = fitted.known.rows(labelled).take(np.array(list(newest.values())))
    states = fitted.model.user_vectors(rows).numpy()
    known = np.flatnonzero(np.abs(states).sum(axis=1) > 0)
    users = list(newest)
    model = fitted.model
    items, bias = model.items.weight[1:].numpy(), model.item_bias.weight[1:, 0].numpy()
    if isinstance(model, LabelledSASRec):  # its states have a mean square of about 1
        states, items = with_bias(model.gain.item() * states, items, bias, abs(model.gain.item()))
    else:
        states, items = with_bias(states, items, bias, _rms(model.users.weight[1:].numpy()))
    table = Vectors(fitted.known.items.item_ids, unit_table(items))
    return Vectors([users[k] for k in known], unit(states[known])), table


def with_bias(users: np.ndarray, items: np.ndarray, bias: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """[n, d + 1] of both: their product gains the bias of the item. `size` is that of the model's users' numbers,
    whoever is asked for: the items' vectors must be the same in training and afterwards."""
    of_items, of_bias = _rms(items), _rms(bias)
    c = float(np.sqrt(size * of_bias / of_items)) if size * of_bias * of_items > 0 else 1.0
    return np.hstack([users, np.full_like(users[:, :1], c)]), np.hstack([items, bias[:, None] / np.float32(c)])


def _rms(rows: np.ndarray) -> float:
    return float(np.sqrt(np.mean(rows**2)))


def unit(rows: np.ndarray) -> np.ndarray:
    """[n, d] with a mean square of 1 in every row."""
    scale = np.sqrt(np.mean(rows**2, axis=1, keepdims=True))
    return np.asarray(rows / np.where(scale > 0, scale, 1))


def unit_table(rows: np.ndarray) -> np.ndarray:
    """[n, d] with a mean square of 1 over all of them; which rows are longer stays to be seen."""
    return np.asarray(rows / max(float(np.sqrt(np.mean(rows**2))), np.finfo(np.float32).tiny))
