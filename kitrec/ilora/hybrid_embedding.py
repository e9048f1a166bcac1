"""Words for items: a vocabulary that goes on behind the base's own, one further id for every item.

    embedding(id) = base's embedding(id)                       id < V
                    W2 GELU(W1 v + b1) + b2,  v = item id-V+1  id >= V      (LLaRA, arXiv 2312.02445, section 3.2)
v is the item's vector in the frozen sequence model. No text can become such an id, so what looks like a placeholder in
a title stays text. Item 1 has id V. Shapes: N items, d their width, V words of the base."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


class Projector(nn.Module):
    """From an item's vector to a word of the base."""

    def __init__(self, width: int, words: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, words), nn.Linear(words, words)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        return self.outer(F.gelu(self.inner(vectors)))


class HybridEmbedding(nn.Module):
    """In the place of a base's input embedding."""

    def __init__(self, words: nn.Embedding, vectors: torch.Tensor, projector: Projector) -> None:
        super().__init__()
        self.words, self.projector = words, projector
        self.register_buffer("vectors", vectors, persistent=False)

    @property
    def weight(self) -> torch.Tensor:
        """The base's own words, for whoever asks an embedding for its type."""
        return self.words.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """[B, T] -> [B, T, width]"""
        items = ids >= self.words.num_embeddings
        embedded = self.words(ids.masked_fill(items, 0))
        if not items.any():
            return embedded
        vectors: Any = self.vectors
        own = self.projector(vectors[ids[items] - self.words.num_embeddings])
        return embedded.masked_scatter(items[..., None], own.to(embedded.dtype))
