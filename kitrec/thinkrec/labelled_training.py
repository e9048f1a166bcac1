"""Training of the two models of labelled rows; AUC + UAUC of the validation rows choose the epoch."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from kitrec.core.auc import auc, uauc
from kitrec.core.errors import InputError
from kitrec.core.randomness import derived_seed, generator
from kitrec.recommenders import losses
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models.params import SASRec as SASRecParams
from kitrec.thinkrec.labelled_models import EncodedRows, LabelledMF, LabelledModel, LabelledSASRec, LabelledVocabulary
from kitrec.thinkrec.labelled_rows import LabelledRows
from kitrec.thinkrec.params import MF, LabelledTrainingConfig
from kitrec.training.distributed import distributed_context
from kitrec.training.loop import fit
from kitrec.training.selection import LoopConfig, Selection
from kitrec.training.state import Row, TrainingState

CHUNK = 4096
VALIDATION_USERS = 10_000  # as trainer.validation_users is shipped
MATRIX = LabelledTrainingConfig(  # matrix factorisation in the size of CoLLM's table (ml1m_collm)
    model=MF(kind="mf", hidden_size=64),
    epochs=50,
    batch_size=1024,
    learning_rate=1e-3,
    weight_decay=0.01,
    patience=4,
    next_item_weight=0.0,
    bias_lr_multiplier=10.0,
)


class AucAndUauc(Selection):
    """AUC + UAUC; AUC alone where no user has both labels."""

    def score(self, row: Row) -> float:
        """Return the value to maximise."""
        return row["auc"] + (0.0 if math.isnan(row["uauc"]) else row["uauc"])


@dataclass(frozen=True)
class LabelledResult:
    """A trained model of labelled rows with the weights of its best epoch."""

    model: LabelledModel
    vocabulary: LabelledVocabulary
    best_epoch: int
    rows: list[Row]  # one per epoch

    def scores(self, labelled: LabelledRows) -> np.ndarray:
        """Return the probabilities [R] of a positive label."""
        return probabilities(self.model, self.vocabulary, labelled)


def probabilities(model: LabelledModel, vocabulary: LabelledVocabulary, labelled: LabelledRows) -> np.ndarray:
    """Compute the probabilities [R] of a positive label, in chunks of rows."""
    rows = vocabulary.rows(labelled, model.bias.device)
    with torch.inference_mode():
        parts = [model(rows.take(part)) for part in _chunks(np.arange(len(labelled)), CHUNK)]
    return torch.cat(parts).sigmoid().cpu().numpy()


def fit_labelled(
    p: LabelledTrainingConfig, train: LabelledRows, valid: LabelledRows, seed: int, device: torch.device | None = None
) -> LabelledResult:
    """Train until `patience` epochs bring no improvement; without a `device` on that of the process."""
    if not len(train) or not len(valid):
        raise InputError("training and validation rows are needed; one of the tables is empty")
    valid = valid.of_sampled_users(VALIDATION_USERS, seed)
    if len(set(valid.labels.tolist())) < 2:
        raise InputError("AUC chooses the epoch, and the validation rows have one label only; give some of both")
    vocabulary = LabelledVocabulary(
        Vocabulary(train.users), Vocabulary([*train.items, *(i for h in train.histories for i in h)])
    )
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "labelled weights"))
        model = (
            LabelledSASRec(vocabulary, p.model)
            if isinstance(p.model, SASRecParams)
            else LabelledMF(vocabulary, p.model.hidden_size)
        )
    model.to(device := device or distributed_context().device)
    state = TrainingState(model, _optimizer(model, p))

    def validate() -> Row:
        scores = probabilities(model.eval(), vocabulary, valid)
        return {"auc": auc(valid.labels, scores), "uauc": uauc(valid.labels, scores, valid.users)}

    rows, labels = vocabulary.rows(train, device), torch.from_numpy(train.labels).float().to(device)
    step = LabelledStep(model, state.optimizer, rows, labels, p, seed)
    config = LoopConfig(p.epochs, AucAndUauc("auc"), p.patience)
    result = fit(step, validate, config, state, None, lambda _: None)
    return LabelledResult(model, vocabulary, result.progress.best_epoch, result.progress.rows)


def _optimizer(model: LabelledModel, p: LabelledTrainingConfig) -> torch.optim.Optimizer:
    biases = [model.user_bias.weight, model.item_bias.weight, model.bias]
    others = [parameter for parameter in model.parameters() if not any(parameter is bias for bias in biases)]
    groups = [
        {"params": others, "lr": p.learning_rate},
        {"params": biases, "lr": p.learning_rate * p.bias_lr_multiplier},
    ]
    return torch.optim.AdamW(groups, weight_decay=p.weight_decay)


@dataclass(frozen=True)
class LabelledStep:
    """One epoch of updates."""

    model: LabelledModel
    optimizer: torch.optim.Optimizer
    rows: EncodedRows
    labels: torch.Tensor
    p: LabelledTrainingConfig
    seed: int

    def __call__(self, epoch: int) -> Row:
        """Train an epoch (from 0); return its mean loss."""
        torch.manual_seed(derived_seed(self.seed, "labelled dropout", epoch + 1))
        self.model.train()
        total = 0.0
        for part in _chunks(
            generator(self.seed, "labelled", epoch + 1).permutation(len(self.labels)), self.p.batch_size
        ):
            self.optimizer.zero_grad(set_to_none=True)
            labels = self.labels[torch.from_numpy(part).to(self.labels.device)]
            loss = _loss(self.model, self.rows.take(part), labels, self.p.next_item_weight)
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(part)
        return {"epoch": epoch + 1, "loss": total / len(self.labels)}


def _loss(model: LabelledModel, rows: EncodedRows, labels: torch.Tensor, next_item_weight: float) -> torch.Tensor:
    if isinstance(model, LabelledMF) or not next_item_weight:
        return F.binary_cross_entropy_with_logits(model(rows), labels)
    states = model.user_vectors(rows)
    label_loss = F.binary_cross_entropy_with_logits(model.logits(states, rows), labels)
    positive = (labels == 1) & torch.from_numpy(rows.histories.lengths > 0).to(labels.device)
    targets = rows.items[positive] - 1
    return label_loss + next_item_weight * losses.cross_entropy(
        states[positive], targets, (model.items.weight[1:], None)
    )


def _chunks(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
