"""Training of the embedding model: the towers on the base's own title vectors, then adapter and towers together.

An epoch of the training loop (kitrec/training/loop.py) is a round of `validate_every` updates. A pass over the users
draws a new target item of each (samples.py); samples, drawn negatives and dropout come from the seed and the number of
the update, so a resumed training ends with the same bytes. NDCG@10 of the development records chooses the round."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from kitrec.core.randomness import generator
from kitrec.titles.embedding import contrastive_loss
from kitrec.titles.embedding_model import EmbeddingModel, TitleVectors, VectorsOf
from kitrec.titles.embedding_ranking import validation_row
from kitrec.titles.params import Embedding, TitleTraining
from kitrec.titles.rounds import OnRound, Rounds, Trained, TrainingData, fit_rounds, new_state, trained
from kitrec.titles.samples import Passes, item_shares
from kitrec.training.state import Row

_SAMPLES = "embedding samples"


def train_embedding(model: EmbeddingModel, p: Embedding, data: TrainingData, on_round: OnRound) -> Trained:
    """Train both phases, each from its checkpoint if there is one, and leave the best weights in place."""
    model.train(False)
    frozen = TitleVectors(model)
    read = np.union1d(data.sequences.items, data.development.numbers())
    model.towers.centre.copy_(frozen.of(read[read > 0]).mean(0))
    rows = _train(model, p, p.heads_training, "heads", data, on_round, frozen.of, model.towers.state_dict())
    tensors = model.learned()
    rows += _train(model, p, p.adapter_training, "adapter", data, on_round, model.read_titles, tensors)
    shares = item_shares(data.sequences, model.catalogue.is_target)
    validation = validation_row(model, data.development, shares, model.read_titles)
    return trained(rows, len(data.sequences), validation)


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
    with_adapter = phase == "adapter"
    model.llm.requires_grad_(False)
    learned = [*model.towers.parameters(), *(model.adapter().values() if with_adapter else [])]
    for parameter in learned:
        parameter.requires_grad_(True)
    state = new_state(model.towers, learned, training, lambda: tensors)
    shares = item_shares(data.sequences, model.catalogue.is_target)
    passes = Passes(
        data.sequences, model.catalogue.is_target, p.history, training.batch_size, data.seed, (_SAMPLES, phase)
    )
    negatives = 0 if with_adapter else p.negatives  # each would be read anew
    gradients = Gradients(model, passes, shares, negatives, vectors_of, phase)
    rounds = Rounds(state.optimizer, training, gradients, model.train, (data.seed, "embedding dropout", phase))
    rows = fit_rounds(
        rounds,
        lambda: validation_row(model, data.development, shares, vectors_of),
        state,
        data.work / phase,
        lambda progress: on_round(phase, progress),
        validate_start=with_adapter,
    )
    model.train(False)
    return [{"phase": float(with_adapter), **row} for row in rows]


@dataclass(frozen=True)
class Gradients:
    """The gradients of an update."""

    model: EmbeddingModel
    passes: Passes
    shares: np.ndarray
    negatives: int
    vectors_of: VectorsOf
    phase: str

    def __call__(self, number: int) -> float:
        """Add the gradients of an update (from 0); return its loss."""
        samples = self.passes.batch(number)
        rng = generator(self.passes.seed, "embedding negatives", self.phase, number)
        drawn = rng.choice(len(self.shares), self.negatives, p=self.shares)
        numbers = np.concatenate([samples.items, drawn])
        users, items = self.model.vectors(samples.histories, numbers, self.vectors_of)
        listed = torch.from_numpy(np.stack([numbers, self.model.catalogue.domains[numbers]])).to(items.device)
        loss = contrastive_loss(users, items, listed[0], listed[1], self.model.towers.scale)
        loss.backward()
        return loss.item()
