"""Training of the two models of labelled rows; AUC + UAUC of the validation rows choose the epoch."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from kitrec.core.errors import InputError
from kitrec.core.randomness import derived_seed, generator
from kitrec.recommenders import losses
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.params import SASRec as SASRecParams
from kitrec.thinkrec.auc import auc, uauc
from kitrec.thinkrec.labelled_models import Known, LabelledMF, LabelledModel, LabelledSASRec, Rows
from kitrec.thinkrec.labelled_rows import Labelled
from kitrec.thinkrec.params import MF, LabelledCourse
from kitrec.training.loop import fit
from kitrec.training.selection import LoopConfig, Selection
from kitrec.training.state import Row, TrainingState

CHUNK = 4096
MATRIX = LabelledCourse(  # matrix factorisation in the size of CoLLM's table (ml1m_collm)
    model=MF(kind="mf", hidden=64),
    epochs=50,
    batch=1024,
    learning_rate=1e-3,
    weight_decay=0.01,
    patience=4,
    next_item=0.0,
    bias_rate=10.0,
)


class AucAndUauc(Selection):
    """AUC + UAUC; AUC alone where no user has both labels."""

    def score(self, row: Row) -> float:
        """The value to maximise."""
        return row["auc"] + (0.0 if math.isnan(row["uauc"]) else row["uauc"])


@dataclass(frozen=True)
class LabelledResult:
    """A trained model of labelled rows with the weights of its best epoch."""

    model: LabelledModel
    known: Known
    best_epoch: int
    rows: list[Row]  # one per epoch

    def scores(self, labelled: Labelled) -> np.ndarray:
        """[R] probabilities of a positive label."""
        return probabilities(self.model, self.known, labelled)


def probabilities(model: LabelledModel, known: Known, labelled: Labelled) -> np.ndarray:
    """[R] probabilities of a positive label, in chunks of rows."""
    rows = known.rows(labelled)
    with torch.inference_mode():
        parts = [model(rows.take(part)) for part in _chunks(np.arange(len(labelled)), CHUNK)]
    return torch.cat(parts).sigmoid().numpy()


def fit_labelled(p: LabelledCourse, train: Labelled, valid: Labelled, seed: int) -> LabelledResult:
    """Train until `patience` epochs bring no improvement."""
    if not len(train) or not len(valid):
        raise InputError("training and validation rows are needed; one of the tables is empty")
    if len(set(valid.labels.tolist())) < 2:
        raise InputError("AUC chooses the epoch, and the validation rows have one label only; give some of both")
    known = Known(Vocabulary(train.users), Vocabulary([*train.items, *(i for h in train.histories for i in h)]))
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "labelled weights"))
        model = (
            LabelledSASRec(known, p.model) if isinstance(p.model, SASRecParams) else LabelledMF(known, p.model.hidden)
        )
    state = TrainingState(model, _optimizer(model, p))

    def validate() -> Row:
        scores = probabilities(model.eval(), known, valid)
        return {"auc": auc(valid.labels, scores), "uauc": uauc(valid.labels, scores, valid.users)}

    step = LabelledStep(model, state.optimizer, known.rows(train), torch.from_numpy(train.labels).float(), p, seed)
    config = LoopConfig(p.epochs, AucAndUauc("auc"), p.patience)
    result = fit(step, validate, config, state, None, lambda _: None)
    return LabelledResult(model, known, result.progress.best_epoch, result.progress.rows)


def _optimizer(model: LabelledModel, p: LabelledCourse) -> torch.optim.Optimizer:
    biases = [model.user_bias.weight, model.item_bias.weight, model.bias]
    others = [parameter for parameter in model.parameters() if not any(parameter is bias for bias in biases)]
    groups = [{"params": others, "lr": p.learning_rate}, {"params": biases, "lr": p.learning_rate * p.bias_rate}]
    return torch.optim.AdamW(groups, weight_decay=p.weight_decay)


@dataclass(frozen=True)
class LabelledStep:
    """One epoch of updates."""

    model: LabelledModel
    optimizer: torch.optim.Optimizer
    rows: Rows
    labels: torch.Tensor
    p: LabelledCourse
    seed: int

    def __call__(self, epoch: int) -> Row:
        """Train an epoch (from 0); return its mean loss."""
        torch.manual_seed(derived_seed(self.seed, "labelled dropout", epoch + 1))
        self.model.train()
        total = 0.0
        for part in _chunks(generator(self.seed, "labelled", epoch + 1).permutation(len(self.labels)), self.p.batch):
            self.optimizer.zero_grad(set_to_none=True)
            loss = _loss(self.model, self.rows.take(part), self.labels[torch.from_numpy(part)], self.p.next_item)
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(part)
        return {"epoch": epoch + 1, "loss": total / len(self.labels)}


def _loss(model: LabelledModel, rows: Rows, labels: torch.Tensor, next_item: float) -> torch.Tensor:
    if isinstance(model, LabelledMF) or not next_item:
        return F.binary_cross_entropy_with_logits(model(rows), labels)
    states = model.user_vectors(rows)
    label_loss = F.binary_cross_entropy_with_logits(model.logits(states, rows), labels)
    positive = (labels == 1) & torch.from_numpy(rows.histories.lengths > 0)
    targets = rows.items[positive] - 1
    return label_loss + next_item * losses.full(states[positive], targets, (model.items.weight[1:], None))


def _chunks(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
