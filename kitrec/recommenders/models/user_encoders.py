"""User vectors of cross-domain models, in two forms.

    history   the mean of the embeddings of a user's items on each side; needs no user table, so it serves new users
    paper     a row of an embedding table of training users; kept to reproduce published numbers
Each gives one vector for both sides, or one for each. Shapes: B users, d width."""

import torch
import torch.nn.functional as F
from torch import nn

from kitrec.recommenders.data.cross_domain_batches import CrossDomainBatch

INIT_STD = 0.01  # of fresh embeddings, unless a model sets its own


def embedding_table(rows: int, width: int, std: float = INIT_STD) -> nn.Embedding:
    """Create embeddings with sparse gradients, which touch only the rows looked up; row 0 is padding and stays zero."""
    table = nn.Embedding(rows, width, padding_idx=0, sparse=True)
    nn.init.normal_(table.weight, std=std)
    with torch.no_grad():
        table.weight[0].zero_()
    return table


def mean_embeddings(batch: CrossDomainBatch, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[B, d] for each side: the mean embedding of a user's items there, zero without any."""
    source, target = (
        F.embedding_bag(items, weight, batch.starts, mode="mean", sparse=True, padding_idx=0) for items in batch.items
    )
    return source, target


class HistoryEncoder(nn.Module):
    """u = A m_source + B m_target, or A m_source and B m_target; A and B start as the identity."""

    def __init__(self, width: int, vectors: int) -> None:
        super().__init__()
        self.vectors = vectors
        self.maps = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in (0, 1))
        for weight in self.maps.parameters():
            nn.init.eye_(weight)

    def forward(self, batch: CrossDomainBatch, items: torch.Tensor) -> list[torch.Tensor]:
        means = mean_embeddings(batch, items)
        source, target = (project(mean) for project, mean in zip(self.maps, means, strict=True))
        return [source, target] if self.vectors == 2 else [source + target]


class UserTable(nn.Module):
    """Users 0 ... U-1, each with a row in one table or in one table per side."""

    def __init__(self, users: int, width: int, vectors: int, std: float) -> None:
        super().__init__()
        self.tables = nn.ModuleList(embedding_table(users + 1, width, std) for _ in range(vectors))

    def forward(self, batch: CrossDomainBatch, _items: torch.Tensor) -> list[torch.Tensor]:
        if batch.indices is None:
            raise ValueError("a model in the paper's form looks users up by their index: give UserHistories.indices")
        return [table(batch.indices + 1) for table in self.tables]


def user_encoder(width: int, users: int | None, vectors: int, std: float = INIT_STD) -> HistoryEncoder | UserTable:
    """Create an encoder of the history form, or of the paper's if the number of users is given."""
    return HistoryEncoder(width, vectors) if users is None else UserTable(users, width, vectors, std)
