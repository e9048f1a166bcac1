"""The embedding model: a base with its adapter, the towers, and the title vectors that both work on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from kitrec.core.randomness import derived_seed
from kitrec.llm.base.layers import keep_first_layers
from kitrec.llm.base.loading import load_base
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.finetuning.light_lora import use_light_layers
from kitrec.llm.finetuning.lora import adapter_weights, with_adapter
from kitrec.titles.catalogue import Catalogue
from kitrec.titles.embedding import Towers, title_vectors
from kitrec.titles.params import ADAPTER, Embedding

VectorsOf = Callable[[np.ndarray], torch.Tensor]  # item numbers [m] -> title vectors [m, h]


@dataclass
class EmbeddingModel:
    llm: Any  # a PEFT model
    towers: Towers
    catalogue: Catalogue

    def read_titles(self, numbers: np.ndarray) -> torch.Tensor:
        """Return the title vectors [m, h] of items, read by the model as it is now."""
        return title_vectors(self.llm, [self.catalogue.tokens[number] for number in numbers])

    def adapter(self) -> dict[str, torch.nn.Parameter]:
        """Return the adapter's weights by name."""
        return adapter_weights(self.llm, ADAPTER)

    def learned(self) -> dict[str, torch.Tensor]:
        """Return the tensors that training changes, by name."""
        return {**self.towers.state_dict(), **self.adapter()}

    def train(self, mode: bool = True) -> None:
        """Switch between training (dropout) and inference."""
        self.llm.train(mode)
        self.towers.train(mode)

    def vectors(
        self, histories: np.ndarray, numbers: np.ndarray, vectors_of: VectorsOf
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the vectors [B, d] of users with histories [B, L], and [J, d] of items [J]; a title is read once."""
        read, places = np.unique(np.concatenate([histories.ravel(), numbers]), return_inverse=True)
        titles = vectors_of(read)
        shown, listed = torch.from_numpy(places).to(titles.device).split([histories.size, len(numbers)])
        are_shown = torch.from_numpy(histories > 0).to(titles.device)
        is_target = torch.from_numpy(self.catalogue.is_target[read]).to(titles.device)
        users = self.towers.users(titles, is_target, shown.view(histories.shape), are_shown)
        return users, self.towers.items(titles[listed])


class TitleVectors:
    """Title vectors of a model that does not change: each title is read when it is first needed, and kept."""

    def __init__(self, model: EmbeddingModel) -> None:
        self._model = model
        self._row_of = np.full(len(model.catalogue) + 1, -1)
        self._table = torch.empty(0)

    @torch.no_grad()
    def of(self, numbers: np.ndarray) -> torch.Tensor:
        """Return the vectors [m, h] of items."""
        new = np.unique(numbers[self._row_of[numbers] < 0])
        if len(new):
            vectors = self._model.read_titles(new)
            self._row_of[new] = len(self._table) + np.arange(len(new))
            self._table = torch.cat([self._table, vectors]) if len(self._table) else vectors
        return self._table[torch.from_numpy(self._row_of[numbers]).to(self._table.device)]


def new_model(p: Embedding, base: PinnedBase, catalogue: Catalogue, seed: int) -> EmbeddingModel:
    """Return a model with initial weights: its adapter changes nothing yet."""
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "embedding weights"))
        llm = load_base(base, p.base_weights)
        if p.layers is not None:
            keep_first_layers(llm, p.layers)
        llm = with_adapter(llm, p.adapter, ADAPTER)
        use_light_layers(llm)
        towers = Towers(llm.config.hidden_size, p.width, p.dropout).to(llm.device)
    return EmbeddingModel(llm, towers, catalogue)
