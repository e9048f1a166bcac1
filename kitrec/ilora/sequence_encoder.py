"""What the frozen sequence model sees: a vector of every item it knows, a vector of every reader's history."""

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl
import torch

from kitrec.core.errors import InputError
from kitrec.recommenders.data.packed_batches import by_length
from kitrec.recommenders.data.sequences import of_rows
from kitrec.recommenders.ranking.full import represent
from kitrec.recommenders.storage import StoredModel

CHUNK = 512


class Eyes:
    """A stored model over item numbers, of which nothing is ever learned again."""

    def __init__(self, stored: StoredModel) -> None:
        self._model, self._vocabulary = stored.model.eval().requires_grad_(False), stored.vocabulary
        self.numbers = {item: number for number, item in enumerate(stored.vocabulary.item_ids, start=1)}
        self.vectors = stored.model.output()[0].detach().float().clone()  # [N, d]

    @property
    def width(self) -> int:
        return self.vectors.shape[1]

    @property
    def fingerprint(self) -> str:
        """A hash of all weights and of which item has which number."""
        digest = hashlib.sha256("\n".join(self._vocabulary.item_ids).encode())
        for name, own in sorted(self._model.state_dict().items()):
            digest.update(name.encode() + own.cpu().contiguous().numpy().tobytes())
        return f"sha256:{digest.hexdigest()}"

    @torch.no_grad()
    def seen(self, histories: Sequence[Sequence[str]]) -> torch.Tensor:
        """[readers, d] of histories, oldest item first; zeros (an undecided gate) for who has no known item."""
        lengths = np.array([len(own) for own in histories], dtype=np.int64)
        numbers = self._vocabulary.numbers(pl.Series([item for own in histories for item in own], dtype=pl.String))
        readers = np.repeat(np.arange(len(histories)), lengths)
        sequences = of_rows(readers[numbers > 0], numbers[numbers > 0], len(histories))
        found = torch.zeros(len(histories), self.width)
        order = by_length(sequences)
        order = order[sequences.lengths[order] > 0]
        for start in range(0, len(order), CHUNK):
            part = order[start : start + CHUNK]
            found[torch.from_numpy(part)] = represent(self._model, sequences.take(part)).float().cpu()
        return found

    def likeliest(self, histories: Sequence[Sequence[str]], pool: Sequence[str], count: int) -> list[list[str]]:
        """The `count` best known items of the pool for each history, those in it left out; best first."""
        known = [item for item in pool if item in self.numbers]
        listed = set(known)
        fewest = len(known) - max((len(listed.intersection(own)) for own in histories), default=0)
        if fewest < count:
            raise InputError(f"{len(known)} known items, less a history, leave fewer than {count} to list: list fewer")
        weight, bias = self._model.output()
        own = torch.tensor([self.numbers[item] - 1 for item in known], device=weight.device)
        place = {item: k for k, item in enumerate(known)}
        found = []
        for start in range(0, len(histories), CHUNK):
            part = histories[start : start + CHUNK]
            scores = self.seen(part) @ weight[own].T.cpu() + (0 if bias is None else bias[own].cpu())
            for row, history in zip(scores, part, strict=True):
                row[[place[item] for item in history if item in place]] = -torch.inf
                found.append([known[k] for k in row.topk(count).indices.tolist()])
        return found
