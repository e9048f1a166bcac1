"""Two models over item ids that learn from likes and dislikes, and whose vectors an LLM can be shown.

    MF       score = p_u . q_i + b_u + b_i + b       (Koren et al., Matrix Factorization, Computer 2009, eq. 4)
    SASRec   score = g s . E_i + b_u + b_i + b       s: SASRec's state after the history (recommenders/models/sasrec.py)
    L = -y log s(score) - (1 - y) log(1 - s(score)), mean over rows
        + n cross-entropy of s over all items, mean over positive rows with a history   (SASRec only)
g starts small (as branches do in ReZero, Bachlechner et al. 2021), so that the biases are learned before the states
memorise what a bias would express: started at 1, UAUC on ml1m_collm stayed below that of the biases alone.
A user or item outside the training rows is row 0, whose vector and bias stay zero.
Shapes: R rows, d width."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from torch import nn

from kitrec.recommenders.data.packed_batches import pack
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models.params import SASRec as SASRecParams
from kitrec.recommenders.models.sasrec import SASRec
from kitrec.thinkrec.labelled_rows import LabelledRows

GAIN = 0.05  # initial value of g


@dataclass(frozen=True)
class EncodedRows:
    """Labelled rows as numbers."""

    users: torch.Tensor
    items: torch.Tensor
    histories: Sequences

    def take(self, rows: np.ndarray) -> "EncodedRows":
        """Return some of the rows, in the given order."""
        where = torch.from_numpy(rows).to(self.users.device)
        return EncodedRows(self.users[where], self.items[where], self.histories.take(rows))


@dataclass(frozen=True)
class LabelledVocabulary:
    """Users and items of the training rows."""

    users: Vocabulary
    items: Vocabulary

    def rows(self, labelled: LabelledRows, device: torch.device | str = "cpu") -> EncodedRows:
        """Return labelled rows as numbers of this vocabulary, on a device."""
        users, items = self.users.numbers(pl.Series(labelled.users)), self.items.numbers(pl.Series(labelled.items))
        of_users, of_items = (torch.from_numpy(values.copy()).to(device) for values in (users, items))
        return EncodedRows(of_users, of_items, labelled.sequences(self.items))


class LabelledMF(nn.Module):
    def __init__(self, vocabulary: LabelledVocabulary, hidden_size: int) -> None:
        super().__init__()
        self.users, self.items = _table(len(vocabulary.users), hidden_size), _table(len(vocabulary.items), hidden_size)
        self.user_bias, self.item_bias = _table(len(vocabulary.users), 1), _table(len(vocabulary.items), 1)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, rows: EncodedRows) -> torch.Tensor:
        """Return the logits [R]."""
        product = (self.users(rows.users) * self.items(rows.items)).sum(1)
        return product + self.user_bias(rows.users)[:, 0] + self.item_bias(rows.items)[:, 0] + self.bias

    def user_vectors(self, rows: EncodedRows) -> torch.Tensor:
        """Return the user vectors [R, d]."""
        return self.users(rows.users)


class LabelledSASRec(nn.Module):
    def __init__(self, vocabulary: LabelledVocabulary, p: SASRecParams) -> None:
        super().__init__()
        self.encoder = SASRec(len(vocabulary.items), p)
        self.user_bias, self.item_bias = _table(len(vocabulary.users), 1), _table(len(vocabulary.items), 1)
        self.bias, self.gain = nn.Parameter(torch.zeros(())), nn.Parameter(torch.tensor(GAIN))

    @property
    def items(self) -> nn.Embedding:
        """One embedding table for histories and for scored items."""
        return self.encoder.items

    def forward(self, rows: EncodedRows) -> torch.Tensor:
        """Return the logits [R]; a row without a known history is scored by its biases."""
        return self.logits(self.user_vectors(rows), rows)

    def logits(self, states: torch.Tensor, rows: EncodedRows) -> torch.Tensor:
        """Return the logits [R] of the states [R, d]."""
        product = self.gain * (states * self.items(rows.items)).sum(1)
        return product + self.user_bias(rows.users)[:, 0] + self.item_bias(rows.items)[:, 0] + self.bias

    def user_vectors(self, rows: EncodedRows) -> torch.Tensor:
        """Return the states [R, d], zero without a history."""
        histories = rows.histories.newest(self.encoder.max_length)
        order = np.argsort(histories.lengths, kind="stable")
        order = order[histories.lengths[order] > 0]
        states = self.items.weight.new_zeros(len(histories), self.items.weight.shape[1])
        if not len(order):
            return states
        represented = self.encoder.represent(pack(histories.take(order), states.device))
        return states.index_copy(0, torch.from_numpy(order).to(states.device), represented)


LabelledModel = LabelledMF | LabelledSASRec


def _table(rows: int, width: int) -> nn.Embedding:
    table = nn.Embedding(rows + 1, width, padding_idx=0)
    nn.init.normal_(table.weight, std=0.01 if width > 1 else 0.0)
    with torch.no_grad():
        table.weight[0].zero_()
    return table
