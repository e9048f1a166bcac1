"""Learning from likes and dislikes, and choosing the epoch by AUC + UAUC of the validation rows alone."""

import copy
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
from kitrec.thinkrec.params import LabelledTrainingConfig

CHUNK = 4096


@dataclass(frozen=True)
class Fitted:
    model: LabelledModel  # of the best epoch
    known: LabelledVocabulary
    best_epoch: int
    rows: list[dict[str, float]]  # one per epoch

    def scores(self, labelled: LabelledRows) -> np.ndarray:
        """[R] probabilities of a like."""
        rows = self.known.rows(labelled)
        with torch.inference_mode():
            parts = [self.model(rows.take(part)) for part in _chunks(np.arange(len(labelled)), CHUNK)]
        return torch.cat(parts).sigmoid().numpy()


def fit_labelled(p: LabelledTrainingConfig, train: LabelledRows, valid: LabelledRows, seed: int) -> Fitted:
    """Train until `patience` epochs brought nothing better."""
    if not len(train) or not len(valid):
        raise InputError("training and validation rows are needed; one of the tables is empty")
    if len(set(valid.labels.tolist())) < 2:
        raise InputError("AUC chooses the epoch, and the validation rows have one label only; give some of both")
    known = LabelledVocabulary(
        Vocabulary(train.users), Vocabulary([*train.items, *(i for h in train.histories for i in h)])
    )
    rows, labels = known.rows(train), torch.from_numpy(train.labels).float()
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "labelled weights"))
        model = (
            LabelledSASRec(known, p.model)
            if isinstance(p.model, SASRecParams)
            else LabelledMF(known, p.model.hidden_size)
        )
        optimizer = _optimizer(model, p)
        found: list[dict[str, float]] = []
        best, weights, stale = 0, copy.deepcopy(model.state_dict()), 0
        for epoch in range(1, p.epochs + 1):
            loss = _epoch(model, optimizer, (rows, labels), p, seed, epoch)
            model.eval()
            scores = Fitted(model, known, best, found).scores(valid)
            row = {"auc": auc(valid.labels, scores), "uauc": uauc(valid.labels, scores, valid.users)}
            found.append({"epoch": epoch, "loss": loss, **row})
            stale += 1
            if not best or _value(found[-1]) > _value(found[best - 1]):
                best, weights, stale = epoch, copy.deepcopy(model.state_dict()), 0
            if stale >= p.patience:
                break
    model.load_state_dict(weights)
    return Fitted(model.eval(), known, best, found)


def _optimizer(model: LabelledModel, p: LabelledTrainingConfig) -> torch.optim.Optimizer:
    fast = [model.user_bias.weight, model.item_bias.weight, model.bias]
    rest = [own for own in model.parameters() if not any(own is one for one in fast)]
    groups = [{"params": rest, "lr": p.learning_rate}, {"params": fast, "lr": p.learning_rate * p.bias_lr_multiplier}]
    return torch.optim.AdamW(groups, weight_decay=p.weight_decay)


def _value(row: dict[str, float]) -> float:
    return row["auc"] + (0.0 if math.isnan(row["uauc"]) else row["uauc"])  # no user with both labels: AUC alone


def _epoch(
    model: LabelledModel,
    optimizer: torch.optim.Optimizer,
    given: tuple[EncodedRows, torch.Tensor],
    p: LabelledTrainingConfig,
    seed: int,
    epoch: int,
) -> float:
    rows, labels = given
    torch.manual_seed(derived_seed(seed, "labelled dropout", epoch))
    model.train()
    total = 0.0
    for part in _chunks(generator(seed, "labelled", epoch).permutation(len(labels)), p.batch_size):
        optimizer.zero_grad(set_to_none=True)
        loss = _loss(model, rows.take(part), labels[torch.from_numpy(part)], p.next_item_weight)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(part)
    return total / len(labels)


def _loss(model: LabelledModel, rows: EncodedRows, labels: torch.Tensor, next_item_weight: float) -> torch.Tensor:
    if isinstance(model, LabelledMF) or not next_item_weight:
        return F.binary_cross_entropy_with_logits(model(rows), labels)
    states = model.user_vectors(rows)
    told = F.binary_cross_entropy_with_logits(model.logits(states, rows), labels)
    liked = (labels == 1) & torch.from_numpy(rows.histories.lengths > 0)
    return told + next_item_weight * losses.cross_entropy(
        states[liked], rows.items[liked] - 1, (model.items.weight[1:], None)
    )


def _chunks(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
