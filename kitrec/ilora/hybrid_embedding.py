"""Item tokens: a vocabulary that extends the base's own by one further id for every item.

    embedding(id) = base's embedding(id)                       id < V
                    W2 GELU(W1 v + b1) + b2,  v = item id-V+1  id >= V      (LLaRA, arXiv 2312.02445, section 3.2)
v is the item's vector in the frozen sequence model; only the items of a batch are looked up and projected. No text can
encode to such an id, so what looks like a placeholder in a title stays text. Item 1 has id V. Shapes: N items, d their
width, V the base's vocabulary size."""

import torch
import torch.nn.functional as F
from torch import nn


class Projector(nn.Module):
    """Two-layer projection of item vectors into the embedding space of the base."""

    def __init__(self, item_dim: int, embedding_dim: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(item_dim, embedding_dim), nn.Linear(embedding_dim, embedding_dim)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        return self.outer(F.gelu(self.inner(vectors)))


class HybridEmbedding(nn.Module):
    """Replacement of a base's input embedding that also embeds item tokens."""

    def __init__(self, text_embedding: nn.Embedding, item_vectors: torch.Tensor, projector: Projector) -> None:
        super().__init__()
        self.text_embedding, self.projector = text_embedding, projector
        self._item_vectors = item_vectors  # no buffer: they stay where they are, only those of a batch move

    @property
    def weight(self) -> torch.Tensor:
        """The text embedding's weight; transformers reads dtype and device from it."""
        return self.text_embedding.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Embed [B, T] ids as [B, T, width]."""
        is_item = ids >= self.text_embedding.num_embeddings
        embedded = self.text_embedding(ids.masked_fill(is_item, 0))
        if not is_item.any():
            return embedded
        rows = ids[is_item] - self.text_embedding.num_embeddings
        vectors = self._item_vectors[rows.to(self._item_vectors.device)].to(ids.device)
        projected = self.projector(vectors)
        return embedded.masked_scatter(is_item[..., None], projected.to(embedded.dtype))
