"""Training of the embedding model: the towers on the base's own title vectors, then adapter and towers together.

An epoch of the training loop (kitrec/training/loop.py) is a round of `validate_every` updates. A pass over the users
draws a new target item of each (samples.py); samples, drawn negatives and dropout come from the seed and the number of
the update, so a resumed training ends with the same bytes. NDCG@10 of the development records chooses the round."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from kitrec.core.randomness import derived_seed, generator
from kitrec.recommenders.data.sequences import Sequences
from kitrec.titles.contrastive import contrastive_loss
from kitrec.titles.embedding import Towers
from kitrec.titles.embedding_model import EmbeddingModel, VectorsOf
from kitrec.titles.embedding_ranking import Questions, validation_row
from kitrec.titles.params import Embedding, TitleTraining
from kitrec.titles.samples import Samples, draw_samples, item_shares
from kitrec.titles.storage import learned
from kitrec.training.loop import fit
from kitrec.training.schedule import set_learning_rate, warmup_cosine_of_update
from kitrec.training.selection import LoopConfig, Selection
from kitrec.training.state import Progress, Row, TrainingState

SELECTION = Selection("ndcg@10")
OnRound = Callable[[str, Progress], None]  # the phase and its progress


@dataclass(frozen=True)
class TrainingData:
    """Users' sequences to learn from, development records to select by, and the folder of checkpoints."""

    sequences: Sequences
    development: Questions
    seed: int
    work: Path


@dataclass(frozen=True)
class TrainedEmbedding:
    """Rows of all rounds, metrics of the weights that were kept, and each item's share of the training [N + 1]."""

    rows: list[Row]
    metrics: dict[str, float]
    shares: np.ndarray


def train_embedding(model: EmbeddingModel, p: Embedding, data: TrainingData, on_round: OnRound) -> TrainedEmbedding:
    """Train both phases, each from its checkpoint if there is one, and leave the best weights in place."""
    frozen = frozen_vectors(model, np.union1d(data.sequences.items, data.development.numbers()))
    model.towers.centre.copy_(frozen.mean())
    rows = _train(model, p, p.heads_training, "heads", data, on_round, frozen.of, model.towers.state_dict())
    tensors = learned(model)
    rows += _train(model, p, p.adapter_training, "adapter", data, on_round, model.read_titles, tensors)
    shares = item_shares(data.sequences, model.catalogue.is_target)
    metrics = {"users": len(data.sequences), **validation_row(model, data.development, shares, model.read_titles)}
    return TrainedEmbedding(rows, {name: round(value, 6) for name, value in metrics.items()}, shares)


@dataclass(frozen=True)
class FrozenVectors:
    """Title vectors of some items, read once by the base."""

    row_of: np.ndarray  # [N + 1]
    table: torch.Tensor  # [m, h]

    def of(self, numbers: np.ndarray) -> torch.Tensor:
        """Return the vectors of items."""
        return self.table[torch.from_numpy(self.row_of[numbers]).to(self.table.device)]

    def mean(self) -> torch.Tensor:
        """Return the mean vector, without that of padding."""
        return self.table[1:].mean(0)


@torch.no_grad()
def frozen_vectors(model: EmbeddingModel, numbers: np.ndarray) -> FrozenVectors:
    """Read the titles of some items, and that of padding."""
    model.train(False)
    read = np.union1d([0], numbers)
    row_of = np.zeros(len(model.catalogue) + 1, dtype=np.int64)
    row_of[read] = np.arange(len(read))
    return FrozenVectors(row_of, model.read_titles(read))


def _train(
    model: EmbeddingModel,
    p: Embedding,
    training: TitleTraining,
    phase: str,
    data: TrainingData,
    on_round: OnRound,
    vectors_of: VectorsOf,
    tensors: Mapping[str, torch.Tensor],
) -> list[Row]:
    if not training.updates:
        return []
    trained = [*model.towers.parameters(), *(model.adapter().values() if phase == "adapter" else [])]
    for parameter in model.llm.parameters():
        parameter.requires_grad_(False)
    for parameter in trained:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(trained, lr=training.learning_rate, weight_decay=training.weight_decay)
    state = TrainingState(model.towers, optimizer, weights=lambda: tensors)
    negatives = p.negatives if phase == "heads" else 0  # each would be read anew
    step = Round(state, model, p, training, data, vectors_of, negatives, phase)
    config = LoopConfig(training.updates // training.validate_every, SELECTION, training.patience)
    work = data.work / phase
    work.mkdir(exist_ok=True)
    result = fit(
        step,
        lambda: validation_row(
            model, data.development, item_shares(data.sequences, model.catalogue.is_target), vectors_of
        ),
        config,
        state,
        work,
        lambda progress: on_round(phase, progress),
        validate_start=phase == "adapter",
    )
    model.train(False)
    return [{"phase": float(phase == "adapter"), **row} for row in result.progress.rows]


@dataclass
class Round:
    """One round of updates."""

    state: TrainingState[Towers]
    model: EmbeddingModel
    p: Embedding
    training: TitleTraining
    data: TrainingData
    vectors_of: VectorsOf
    negatives: int
    phase: str
    _drawn: dict[int, Samples] = field(default_factory=dict)  # of the newest pass

    def __post_init__(self) -> None:
        self._shares = item_shares(self.data.sequences, self.model.catalogue.is_target)

    def __call__(self, number: int) -> Row:
        """Train a round (from 0); return its mean loss."""
        first = number * self.training.validate_every
        self.model.train()
        losses = [self._update(first + k) for k in range(self.training.validate_every)]
        return {"epoch": number + 1, "update": first + len(losses), "loss": float(np.mean(losses))}

    def _update(self, number: int) -> float:
        factor = warmup_cosine_of_update(self.training.warmup_ratio, number, self.training.updates)
        set_learning_rate(self.state.optimizer, self.training.learning_rate, factor)
        torch.manual_seed(derived_seed(self.data.seed, "embedding dropout", self.phase, number))
        self.state.optimizer.zero_grad(set_to_none=True)
        samples = self._batch(number)
        numbers = np.concatenate([samples.items, self._negatives(number)])
        users, items = self.model.vectors(samples.histories, numbers, self.vectors_of)
        loss = contrastive_loss(users, items, torch.from_numpy(numbers).to(items.device), self.model.towers.scale)
        loss.backward()
        learned = [parameter for group in self.state.optimizer.param_groups for parameter in group["params"]]
        torch.nn.utils.clip_grad_norm_(learned, self.training.max_grad_norm)
        self.state.optimizer.step()
        return loss.item()

    def _batch(self, number: int) -> Samples:
        """Return the samples of an update; a pass over the users ends with a batch that may be smaller."""
        size = self.training.batch_size
        per_pass = max(-(-len(self.data.sequences) // size), 1)
        drawn, part = divmod(number, per_pass)
        if drawn not in self._drawn:
            rng = generator(self.data.seed, "embedding samples", self.phase, drawn)
            samples = draw_samples(self.data.sequences, self.model.catalogue.is_target, self.p.history, rng)
            self._drawn = {drawn: samples[rng.permutation(len(samples))]}
        samples = self._drawn[drawn]
        return samples[np.arange(part * size, (part + 1) * size) % len(samples)]  # wraps: users may have no sample

    def _negatives(self, number: int) -> np.ndarray:
        rng = generator(self.data.seed, "embedding negatives", self.phase, number)
        return rng.choice(len(self._shares), self.negatives, p=self._shares)
