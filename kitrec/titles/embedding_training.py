"""Training of the embedding model: the towers on the base's own title vectors, then adapter and towers together.

An epoch of the training loop (kitrec/training/loop.py) is a round of `validate_every` updates. An update reads all
titles of `batch_size` users, each once a pass, and learns from everybody who took some of these items (samples.py).
Samples and dropout come from the seed and the number of the update, so a resumed training ends with the same bytes.
NDCG@10 of the development records chooses the round."""

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
from kitrec.titles.samples import Passes, item_shares, samples_among
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
    gradients = Gradients(model, passes, shares, vectors_of, phase)
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
    vectors_of: VectorsOf
    phase: str

    def __call__(self, number: int) -> float:
        """Add the gradients of an update (from 0); return its loss."""
        passes, catalogue = self.passes, self.model.catalogue
        whole = passes.batch(number)
        read = np.unique(np.concatenate([whole.histories.ravel(), whole.items]))
        rng = generator(passes.seed, "embedding samples", self.phase, number)
        samples = samples_among(passes.sequences, read[read > 0], catalogue.is_target, passes.p, rng) or whole
        numbers = read[catalogue.is_target[read]]
        users, items = self.model.vectors(samples.histories, numbers, self.vectors_of)
        taken, domains, shares = (
            torch.from_numpy(values).to(items.device)
            for values in (np.searchsorted(numbers, samples.items), catalogue.domains[numbers], self.shares[numbers])
        )
        scores = self.model.towers.scale * users @ items.T
        loss = contrastive_loss(scores, taken, domains, shares.float())
        loss.backward()
        return loss.item()
