"""Who a reader is to a model, in two forms.

    history   the mean of the embeddings of what they read on each side; nobody needs a number, so new readers have one
    paper     a row of a table of training users; kept to reproduce published numbers
Each gives one vector for both sides, or one for each. Shapes: B readers, d width."""

import torch
import torch.nn.functional as F
from torch import nn

from kitrec.recommenders.data.cross_domain_batches import Asked

SMALL = 0.01  # standard deviation of fresh embeddings, where a model asks for no other


def table(rows: int, width: int, spread: float = SMALL) -> nn.Embedding:
    """Embeddings whose gradients touch only the rows that were looked up; row 0 is padding and stays zero."""
    own = nn.Embedding(rows, width, padding_idx=0, sparse=True)
    nn.init.normal_(own.weight, std=spread)
    with torch.no_grad():
        own.weight[0].zero_()
    return own


def means(asked: Asked, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[B, d] of each side: the mean of a reader's items there, zero without any."""
    source, target = (
        F.embedding_bag(items, weight, asked.starts, mode="mean", sparse=True, padding_idx=0) for items in asked.items
    )
    return source, target


class ByHistory(nn.Module):
    """u = A m_source + B m_target, or A m_source and B m_target; A and B begin as the identity."""

    def __init__(self, width: int, vectors: int) -> None:
        super().__init__()
        self.vectors = vectors
        self.maps = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in (0, 1))
        for own in self.maps.parameters():
            nn.init.eye_(own)

    def forward(self, asked: Asked, items: torch.Tensor) -> list[torch.Tensor]:
        source, target = (own(mean) for own, mean in zip(self.maps, means(asked, items), strict=True))
        return [source, target] if self.vectors == 2 else [source + target]


class ByNumber(nn.Module):
    """Users 0 ... U-1, each with a row in one table or in one a side."""

    def __init__(self, users: int, width: int, vectors: int, spread: float) -> None:
        super().__init__()
        self.tables = nn.ModuleList(table(users + 1, width, spread) for _ in range(vectors))

    def forward(self, asked: Asked, _items: torch.Tensor) -> list[torch.Tensor]:
        if asked.numbers is None:
            raise ValueError("a model of the paper's form knows readers by their number; none was given")
        return [own(asked.numbers + 1) for own in self.tables]


def encoder(width: int, users: int | None, vectors: int, spread: float = SMALL) -> ByHistory | ByNumber:
    """The history form, or the paper's where the number of users is given."""
    return ByHistory(width, vectors) if users is None else ByNumber(users, width, vectors, spread)
