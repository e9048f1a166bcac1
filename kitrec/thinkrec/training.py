"""One stage of training: some tensors learn, all others stand still.

Samples come mixed (samples.py), their loss is objective.py's. After every `validate_every` updates the validation is
judged, the best weights are kept, and all that going on needs is written down: a stage that broke off ends with the
same bytes. Everything drawn comes from the seed and the update."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from kitrec.core.errors import InputError
from kitrec.core.randomness import derived_seed
from kitrec.thinkrec.checkpoint import Progress, put, resume, save
from kitrec.thinkrec.model import ThinkModel
from kitrec.thinkrec.objective import batch_counts, loss
from kitrec.thinkrec.params import Objective, TrainingConfig
from kitrec.thinkrec.samples import MixedBatchSampler, Sample, reasoning_mask, sample_counts, token_owners

Judge = Callable[[], dict[str, float]]  # of the model as it is; `auc` chooses
JUDGED_BY = "auc"
Tensors = Mapping[str, nn.Parameter]


@dataclass(frozen=True)
class Stage:
    """What is learned from what, and where it is kept until it is done."""

    name: str
    samples: Sequence[Sample]
    training: TrainingConfig
    objective: Objective
    seed: int
    work: Path
    start_counts: bool = False  # what it goes on from is judged too, and left in place where nothing is better


def learn(
    model: ThinkModel, tensors: Tensors, stage: Stage, judge: Judge, told: Callable[[Progress], None]
) -> Progress:
    """Train the tensors, leave the best of them in place; `told` hears of every judgement."""
    _free(model, tensors)
    p = stage.training
    optimizer = torch.optim.AdamW(tensors.values(), lr=p.learning_rate, weight_decay=p.weight_decay)
    progress, best = resume(tensors, optimizer, stage.work)
    if stage.start_counts and not progress.rounds:
        model.llm.eval()
        progress.best, best = judge()[JUDGED_BY], {name: own.detach().clone() for name, own in tensors.items()}
    progress.counts = sample_counts(stage.samples)
    mixture = MixedBatchSampler(
        reasoning_mask(stage.samples), stage.objective.reasoning_ratio, p.batch_size, stage.seed
    )
    with torch.random.fork_rng():
        while progress.rounds * p.validate_every < p.updates and progress.stale < p.patience:
            row = _round(model, optimizer, stage, mixture, progress.rounds * p.validate_every)
            model.llm.eval()
            if settle(progress, row | judge()):
                best = {name: own.detach().clone() for name, own in tensors.items()}
            save(tensors, best, optimizer, progress, stage.work)
            told(progress)
    put(tensors, best)
    model.llm.eval()
    return progress


def settle(progress: Progress, row: dict[str, float]) -> bool:
    """Enter a judgement; whether it is the best so far."""
    progress.rounds += 1
    progress.rows.append(row)
    better = row[JUDGED_BY] > progress.best
    if better:
        progress.best, progress.best_round, progress.stale = row[JUDGED_BY], progress.rounds, 0
    else:
        progress.stale += 1
    return better


def share_of_rate(p: TrainingConfig, update: int) -> float:
    """Of the learning rate at an update, counted from 0: a warm-up, then half a cosine."""
    warm = round(p.warmup_ratio * p.updates)
    if update < warm:
        return (update + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (update - warm) / max(p.updates - warm, 1)))


def _free(model: ThinkModel, tensors: Tensors) -> None:
    """Only these tensors may move."""
    for own in [*model.llm.parameters(), *(model.projector.parameters() if model.projector else ())]:
        own.requires_grad_(False)
    for own in tensors.values():
        own.requires_grad_(True)


def _round(
    model: ThinkModel, optimizer: torch.optim.Optimizer, stage: Stage, mixture: MixedBatchSampler, first: int
) -> dict[str, float]:
    """As many updates as lie between two judgements."""
    p, total = stage.training, 0.0
    model.llm.train(any(own.requires_grad for own in model.llm.parameters()))  # a frozen adapter drops nothing out
    for update in range(first, first + p.validate_every):
        torch.manual_seed(derived_seed(stage.seed, "thinkrec", stage.name, update))
        for group in optimizer.param_groups:
            group["lr"] = p.learning_rate * share_of_rate(p, update)
        optimizer.zero_grad(set_to_none=True)
        total += _backward(model, stage, [stage.samples[k] for k in mixture.batch(update)], update)
        nn.utils.clip_grad_norm_([own for group in optimizer.param_groups for own in group["params"]], p.max_grad_norm)
        optimizer.step()
    return {"updates": first + p.validate_every, "loss": total / p.validate_every}


def _backward(model: ThinkModel, stage: Stage, batch: Sequence[Sample], update: int) -> float:
    """Add the gradient of a batch, a few samples in a forward; its loss."""
    each, total = stage.training.micro_batch_size, 0.0
    whole = batch_counts(torch.from_numpy(reasoning_mask(batch)), torch.tensor(token_owners(batch), dtype=torch.long))
    for start in range(0, len(batch), each):
        part = batch[start : start + each]
        found = model.outputs(part)
        device = found.yes.device
        labels, reasoning = torch.tensor([s.label for s in part], device=device), torch.from_numpy(reasoning_mask(part))
        value = loss(found, labels, reasoning.to(device), stage.objective, whole)
        if not math.isfinite(value.item()):
            raise InputError(
                f"stage {stage.name}: the loss is {value.item()} at update {update + 1}; lower its learning_rate. "
                "What came before it is kept"
            )
        value.backward()
        total += value.item()
    return total
