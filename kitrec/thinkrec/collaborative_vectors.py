"""Vectors of users and items from the project's own models over item ids, as tables for shards.

One projector reads both kinds, so both are brought to one scale: a user's vector to length sqrt(d), the table of items
to a mean square of 1. That changes no user's order of items. (SASRec's states are some twenty times as long as its
item vectors; standardised together, all items would look the same.) A model with item biases gives vectors with one
more element: [p_u, c] . [q_i, b_i / c] keeps its order, with the c that makes the last element as large relative to p_u
as to q_i. Shapes: n ids, d width."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import torch

from kitrec.core.errors import InputError
from kitrec.recommenders.data.cross_domain_batches import UserHistories, cross_domain_batch
from kitrec.recommenders.data.sequences import Sequences, sequences_from_lists
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models.bpr_mf import BPRMF
from kitrec.recommenders.ranking.full import represent
from kitrec.recommenders.storage import StoredModel, load_model
from kitrec.thinkrec.labelled_models import LabelledSASRec
from kitrec.thinkrec.labelled_rows import LabelledRows
from kitrec.thinkrec.labelled_training import LabelledResult
from kitrec.thinkrec.vector_shards import Vectors


@dataclass(frozen=True)
class CollaborativeEncoder:
    """A stored model whose vectors prompts can show."""

    vocabulary: Vocabulary
    encode: Callable[[list[str], Sequences], tuple[Vectors, Vectors]]  # users, their histories -> (users, items)

    def encode_histories(self, history_of: Mapping[str, Sequence[str]]) -> tuple[Vectors, Vectors]:
        """Return the vectors (users, items) for these histories; items unknown to the model are left out."""
        numbers = [self.vocabulary.numbers(pl.Series(history, dtype=pl.String)) for history in history_of.values()]
        return self.encode(list(history_of), sequences_from_lists(items[items > 0] for items in numbers))


def load_collaborative_encoder(folder: Path, device: torch.device | str = "cpu") -> CollaborativeEncoder:
    """Load a folder of data/idrec or of `kitrec fit`: a sequence model, or BPR-MF."""
    stored = load_model(folder, device)
    if not stored.is_cross_domain:
        return CollaborativeEncoder(stored.vocabulary, partial(sequence_model_vectors, stored))
    if not isinstance(stored.model, BPRMF):
        raise InputError(f"{folder} has no single vector per user and item: take a sequence model or bpr_mf")
    return CollaborativeEncoder(stored.vocabulary, partial(bpr_mf_vectors, stored.model, stored.vocabulary))


@torch.inference_mode()
def sequence_model_vectors(stored: StoredModel, users: list[str], histories: Sequences) -> tuple[Vectors, Vectors]:
    """Return the vectors (users, items) of a sequence model; a user without a known item has no vector."""
    readable = np.flatnonzero(histories.lengths > 0)
    items = stored.model.output()[0].float().cpu().numpy()
    states = represent(stored.model, histories.take(readable)).float().cpu().numpy() if len(readable) else items[:0]
    return Vectors([users[k] for k in readable], unit(states)), Vectors(stored.vocabulary.item_ids, unit_table(items))


@torch.inference_mode()
def bpr_mf_vectors(
    model: BPRMF, vocabulary: Vocabulary, users: list[str], histories: Sequences
) -> tuple[Vectors, Vectors]:
    """Return the vectors (users, items) of the cross-domain BPR-MF in its history form; a user without a known item has
    no vector."""
    readable = np.flatnonzero(histories.lengths > 0)
    batch = cross_domain_batch(UserHistories(histories), model.item_domains.sides, readable, device=model.device)
    states = model.users(batch, model.history_items.weight)[0].float().cpu().numpy()
    items = model.items.weight[1:].float().cpu().numpy()
    bias, history_items = (
        model.bias.weight[1:, 0].float().cpu().numpy(),
        model.history_items.weight[1:].float().cpu().numpy(),
    )
    states, items = with_bias(states, items, bias, _rms(history_items))
    return Vectors([users[k] for k in readable], unit(states)), Vectors(vocabulary.item_ids, unit_table(items))


@torch.inference_mode()
def labelled_model_vectors(fitted: LabelledResult, labelled: LabelledRows) -> tuple[Vectors, Vectors]:
    """Return the vectors (users, items) of a like/dislike model; a user's vector is that of their newest row, unless it
    is zero."""
    newest = {user: row for row, user in enumerate(labelled.users)}
    rows = fitted.vocabulary.rows(labelled, fitted.model.bias.device).take(np.array(list(newest.values())))
    states = fitted.model.user_vectors(rows).cpu().numpy()
    nonzero = np.flatnonzero(np.abs(states).sum(axis=1) > 0)
    users = list(newest)
    model = fitted.model
    items, bias = model.items.weight[1:].cpu().numpy(), model.item_bias.weight[1:, 0].cpu().numpy()
    if isinstance(model, LabelledSASRec):  # its states have a mean square of about 1
        states, items = with_bias(model.gain.item() * states, items, bias, abs(model.gain.item()))
    else:
        states, items = with_bias(states, items, bias, _rms(model.users.weight[1:].cpu().numpy()))
    table = Vectors(fitted.vocabulary.items.item_ids, unit_table(items))
    return Vectors([users[k] for k in nonzero], unit(states[nonzero])), table


def with_bias(users: np.ndarray, items: np.ndarray, bias: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Return both with one more element [n, d + 1], so that their product includes the item bias.

    `size` is the RMS of the model's user parameters, independent of the users at hand: the item vectors must be the
    same in training and afterwards."""
    item_rms, bias_rms = _rms(items), _rms(bias)
    c = float(np.sqrt(size * bias_rms / item_rms)) if size * bias_rms * item_rms > 0 else 1.0
    return np.hstack([users, np.full_like(users[:, :1], c)]), np.hstack([items, bias[:, None] / np.float32(c)])


def _rms(rows: np.ndarray) -> float:
    return float(np.sqrt(np.mean(rows**2)))


def unit(rows: np.ndarray) -> np.ndarray:
    """Scale each row [n, d] to a mean square of 1."""
    scale = np.sqrt(np.mean(rows**2, axis=1, keepdims=True))
    return np.asarray(rows / np.where(scale > 0, scale, 1))


def unit_table(rows: np.ndarray) -> np.ndarray:
    """Scale all rows [n, d] together to a mean square of 1, so that their relative lengths stay."""
    return np.asarray(rows / max(float(np.sqrt(np.mean(rows**2))), np.finfo(np.float32).tiny))
