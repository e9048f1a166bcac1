"""Two models over item numbers that learn from likes and dislikes: the ones whose vectors an LLM is shown.

    MF       score = p_u . q_i + b_u + b_i + b       (Koren et al., Matrix Factorization, Computer 2009, eq. 4)
    SASRec   score = g s . E_i + b_u + b_i + b       s: SASRec's state after the history (recommenders/models/sasrec.py)
    L = -y log s(score) - (1 - y) log(1 - s(score)), mean over rows
        + n cross-entropy of s over all items, mean over liked rows with a history      (SASRec alone)
g starts small (as branches do in ReZero, Bachlechner et al. 2021), so that the biases are there before the states learn
by heart what a bias would say: started at 1, UAUC on ml1m_collm stayed below that of the biases alone.
A user or item that training never saw is row 0, whose vector and bias stay zero.
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
from kitrec.thinkrec.labelled_rows import Labelled

GAIN = 0.05  # of SASRec's part, at the start


@dataclass(frozen=True)
class Rows:
    """Labelled rows in numbers."""

    users: torch.Tensor
    items: torch.Tensor
    histories: Sequences

    def take(self, rows: np.ndarray) -> "Rows":
        """Some of them, in the order given."""
        where = torch.from_numpy(rows)
        return Rows(self.users[where], self.items[where], self.histories.take(rows))


@dataclass(frozen=True)
class Known:
    """The users and items of the training rows."""

    users: Vocabulary
    items: Vocabulary

    def rows(self, labelled: Labelled) -> Rows:
        """Labelled rows in these numbers."""
        users, items = self.users.numbers(pl.Series(labelled.users)), self.items.numbers(pl.Series(labelled.items))
        return Rows(torch.from_numpy(users.copy()), torch.from_numpy(items.copy()), labelled.sequences(self.items))


class LabelledMF(nn.Module):
    def __init__(self, known: Known, hidden: int) -> None:
        super().__init__()
        self.users, self.items = _table(len(known.users), hidden), _table(len(known.items), hidden)
        self.user_bias, self.item_bias = _table(len(known.users), 1), _table(len(known.items), 1)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, rows: Rows) -> torch.Tensor:
        """[R] logits."""
        product = (self.users(rows.users) * self.items(rows.items)).sum(1)
        return product + self.user_bias(rows.users)[:, 0] + self.item_bias(rows.items)[:, 0] + self.bias

    def user_vectors(self, rows: Rows) -> torch.Tensor:
        """[R, d]"""
        return self.users(rows.users)


class LabelledSASRec(nn.Module):
    def __init__(self, known: Known, p: SASRecParams) -> None:
        super().__init__()
        self.reader = SASRec(len(known.items), p)
        self.user_bias, self.item_bias = _table(len(known.users), 1), _table(len(known.items), 1)
        self.bias, self.gain = nn.Parameter(torch.zeros(())), nn.Parameter(torch.tensor(GAIN))

    @property
    def items(self) -> nn.Embedding:
        """One table for what is read and what is scored."""
        return self.reader.items

    def forward(self, rows: Rows) -> torch.Tensor:
        """[R] logits; a row without a known history is scored by its biases."""
        return self.logits(self.user_vectors(rows), rows)

    def logits(self, states: torch.Tensor, rows: Rows) -> torch.Tensor:
        """[R] from the states [R, d]."""
        product = self.gain * (states * self.items(rows.items)).sum(1)
        return product + self.user_bias(rows.users)[:, 0] + self.item_bias(rows.items)[:, 0] + self.bias

    def user_vectors(self, rows: Rows) -> torch.Tensor:
        """[R, d] states, zero without a history."""
        own = rows.histories.newest(self.reader.max_length)
        order = np.argsort(own.lengths, kind="stable")
        order = order[own.lengths[order] > 0]
        found = self.items.weight.new_zeros(len(own), self.items.weight.shape[1])
        if not len(order):
            return found
        return found.index_copy(0, torch.from_numpy(order), self.reader.represent(pack(own.take(order))))


LabelledModel = LabelledMF | LabelledSASRec


def _table(rows: int, width: int) -> nn.Embedding:
    own = nn.Embedding(rows + 1, width, padding_idx=0)
    nn.init.normal_(own.weight, std=0.01 if width > 1 else 0.0)
    with torch.no_grad():
        own.weight[0].zero_()
    return own
