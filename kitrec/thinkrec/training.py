"""Training of one ThinkRec stage: some tensors learn, all others stay frozen.

An epoch of the training loop (kitrec/training/loop.py) is a round of `validate_every` updates on mixed batches
(samples.py) with the loss of objective.py; the AUC of the validation records chooses the round. All random
numbers come from the seed and the update, so a resumed stage ends with the same bytes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from kitrec.core.errors import InputError
from kitrec.core.randomness import derived_seed
from kitrec.thinkrec.model import ThinkModel
from kitrec.thinkrec.objective import batch_counts, loss
from kitrec.thinkrec.params import Objective, TrainingConfig
from kitrec.thinkrec.samples import MixedBatchSampler, Sample, reasoning_mask, sample_counts, token_owners
from kitrec.training.loop import OnEpochEnd, Validate, fit
from kitrec.training.out_of_memory import run_in_memory, smaller_part
from kitrec.training.schedule import set_learning_rate, warmup_cosine_of_update
from kitrec.training.selection import LoopConfig, Selection
from kitrec.training.state import Progress, Row, TrainingState

SELECTION = Selection("auc")
Tensors = Mapping[str, nn.Parameter]


@dataclass(frozen=True)
class Stage:
    """The samples and settings of a stage, and the folder of its checkpoint."""

    name: str
    samples: Sequence[Sample]
    config: TrainingConfig
    objective: Objective
    seed: int
    work: Path
    validate_start: bool = False  # the weights at the start stay unless a round is better


@dataclass
class MicroBatch:
    """The samples of a forward pass; fewer than configured once memory was short."""

    samples: int


@dataclass(frozen=True)
class TrainedStage:
    """The record of a stage."""

    progress: Progress
    sample_counts: dict[str, int]

    def metrics(self) -> dict[str, float]:
        """Return sample counts and the finite numbers of the best round; 0 updates where none improved on the start."""
        if not self.progress.best_epoch:
            return {**self.sample_counts, "updates": 0}
        best = self.progress.rows[self.progress.best_epoch - 1]
        finite = {name: value for name, value in best.items() if math.isfinite(value)}  # UAUC may be undefined
        rounded = {name: round(value, 6) if isinstance(value, float) else value for name, value in finite.items()}
        return {**self.sample_counts, **rounded}


def train_stage(
    model: ThinkModel, tensors: Tensors, stage: Stage, validate: Validate, on_epoch_end: OnEpochEnd
) -> TrainedStage:
    """Train the tensors, from the stage's checkpoint if there is one, and leave the best weights in place."""
    _freeze_all_but(model, tensors)
    p = stage.config
    if p.gradient_checkpointing:
        model.llm.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    optimizer = torch.optim.AdamW(tensors.values(), lr=p.learning_rate, weight_decay=p.weight_decay)
    state = TrainingState(model.llm, optimizer, weights=lambda: tensors)
    sampler = MixedBatchSampler(
        reasoning_mask(stage.samples), stage.objective.reasoning_ratio, p.batch_size, stage.seed
    )
    config = LoopConfig(p.rounds, SELECTION, p.patience)

    def validate_frozen() -> Row:
        model.llm.eval()
        return validate()

    result = fit(
        StageStep(model, optimizer, stage, sampler, MicroBatch(p.micro_batch_size)),
        validate_frozen,
        config,
        state,
        stage.work,
        on_epoch_end,
        validate_start=stage.validate_start,
    )
    return TrainedStage(result.progress, sample_counts(stage.samples))


def _freeze_all_but(model: ThinkModel, tensors: Tensors) -> None:
    for parameter in [*model.llm.parameters(), *(model.projector.parameters() if model.projector else ())]:
        parameter.requires_grad_(False)
    for parameter in tensors.values():
        parameter.requires_grad_(True)


@dataclass(frozen=True)
class StageStep:
    """Trains one round of updates; a step of the training loop."""

    model: ThinkModel
    optimizer: torch.optim.Optimizer
    stage: Stage
    sampler: MixedBatchSampler
    memory: MicroBatch

    def __call__(self, number: int) -> Row:
        """Train a round (from 0); return its mean loss."""
        p, llm = self.stage.config, self.model.llm
        first, total = number * p.validate_every, 0.0
        llm.train(any(parameter.requires_grad for parameter in llm.parameters()))  # no dropout in a frozen adapter
        for layer in llm.modules() if p.gradient_checkpointing else ():
            if isinstance(layer, GradientCheckpointingLayer):
                layer.training = True  # by this the layer knows that it has a backward pass; its parts stay as they are
        for update in range(first, first + p.validate_every):
            factor = warmup_cosine_of_update(p.warmup_ratio, update, p.updates)
            set_learning_rate(self.optimizer, p.learning_rate, factor)
            batch = [self.stage.samples[k] for k in self.sampler.batch(update)]
            total += self._add_gradients(batch, update)
            parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
            nn.utils.clip_grad_norm_(parameters, p.max_grad_norm)
            self.optimizer.step()
        return {"updates": first + p.validate_every, "loss": total / p.validate_every}

    def _add_gradients(self, batch: Sequence[Sample], update: int) -> float:
        """Compute the gradients of an update; out of memory, again and from here on in smaller micro-batches."""

        def gradients(size: int) -> float:
            self.optimizer.zero_grad(set_to_none=True)
            torch.manual_seed(derived_seed(self.stage.seed, "thinkrec", self.stage.name, update))
            return _accumulate_gradients(self.model, self.stage, batch, update, size)

        smaller = partial(smaller_part, whole=self.stage.config.micro_batch_size)
        total, self.memory.samples = run_in_memory(
            gradients, self.memory.samples, smaller, lambda size: f"micro-batches of {size} from here on"
        )
        return total


def _accumulate_gradients(model: ThinkModel, stage: Stage, batch: Sequence[Sample], update: int, size: int) -> float:
    """Add up the gradients of a batch in micro-batches of a size; return its loss."""
    total = 0.0
    whole = batch_counts(torch.from_numpy(reasoning_mask(batch)), torch.tensor(token_owners(batch), dtype=torch.long))
    for start in range(0, len(batch), size):
        micro_batch = batch[start : start + size]
        outputs = model.outputs(micro_batch)
        device = outputs.yes.device
        labels = torch.tensor([sample.label for sample in micro_batch], device=device)
        reasoning = torch.from_numpy(reasoning_mask(micro_batch)).to(device)
        value = loss(outputs, labels, reasoning, stage.objective, whole)
        if not math.isfinite(value.item()):
            raise InputError(
                f"stage {stage.name}: the loss is {value.item()} at update {update + 1}; lower its learning_rate. "
                "The last checkpoint is kept"
            )
        value.backward()
        total += value.item()
    return total
