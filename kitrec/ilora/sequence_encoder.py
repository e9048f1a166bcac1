"""The frozen sequence model behind a teacher: a vector of every item it knows, an embedding of every user's history."""

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl
import torch

from kitrec.core.errors import InputError
from kitrec.recommenders.data.packed_batches import by_length
from kitrec.recommenders.data.sequences import sequences_from_rows
from kitrec.recommenders.ranking.full import represent
from kitrec.recommenders.storage import StoredModel

CHUNK = 512


class SequenceEncoder:
    """A stored sequence model whose weights stay frozen."""

    def __init__(self, stored: StoredModel) -> None:
        self._model, self._vocabulary = stored.model.eval().requires_grad_(False), stored.vocabulary
        self.item_numbers = {item: number for number, item in enumerate(stored.vocabulary.item_ids, start=1)}
        self.item_vectors = stored.model.output()[0].detach().float()  # [N, d], the model's frozen weights: no copy

    @property
    def width(self) -> int:
        return self.item_vectors.shape[1]

    @property
    def fingerprint(self) -> str:
        """A hash of all weights and of the numbering of the items."""
        digest = hashlib.sha256("\n".join(self._vocabulary.item_ids).encode())
        for name, tensor in sorted(self._model.state_dict().items()):
            digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
        return f"sha256:{digest.hexdigest()}"

    @torch.no_grad()
    def encode(self, histories: Sequence[Sequence[str]]) -> torch.Tensor:
        """Embed histories (oldest item first) as [users, d]; one without known items is zero, a uniform dense gate."""
        lengths = np.array([len(history) for history in histories], dtype=np.int64)
        item_ids = pl.Series([item for history in histories for item in history], dtype=pl.String)
        numbers = self._vocabulary.numbers(item_ids)
        users = np.repeat(np.arange(len(histories)), lengths)
        sequences = sequences_from_rows(users[numbers > 0], numbers[numbers > 0], len(histories))
        embeddings = torch.zeros(len(histories), self.width)
        order = by_length(sequences)
        order = order[sequences.lengths[order] > 0]
        for start in range(0, len(order), CHUNK):
            part = order[start : start + CHUNK]
            embeddings[torch.from_numpy(part)] = represent(self._model, sequences.take(part)).float().cpu()
        return embeddings

    def top_items(self, histories: Sequence[Sequence[str]], pool: Sequence[str], count: int) -> list[list[str]]:
        """Return for each history the `count` best-scored items of the pool that it does not contain, best first."""
        items = [item for item in pool if item in self.item_numbers]
        item_set = set(items)
        remaining = len(items) - max((len(item_set.intersection(history)) for history in histories), default=0)
        if remaining < count:
            raise InputError(f"{len(items)} known items, less a history, leave fewer than {count} to list: list fewer")
        weight, bias = self._model.output()
        rows = torch.tensor([self.item_numbers[item] - 1 for item in items], device=weight.device)
        column = {item: k for k, item in enumerate(items)}
        lists = []
        for start in range(0, len(histories), CHUNK):
            part = histories[start : start + CHUNK]
            scores = self.encode(part) @ weight[rows].T.cpu() + (0 if bias is None else bias[rows].cpu())
            for row, history in zip(scores, part, strict=True):
                row[[column[item] for item in history if item in column]] = -torch.inf
                lists.append([items[k] for k in row.topk(count).indices.tolist()])
        return lists
