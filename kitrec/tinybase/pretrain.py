"""Pre-training of the tiny base: next-token loss on the target tokens of a batch, logits only there.

L = mean over target tokens t of CE(x_t | x_<t); AdamW, linear warm-up, cosine to a tenth.
An epoch of the training loop (kitrec/training/loop.py) is a stretch of SAVE_EVERY updates, after which a checkpoint is
written; there is no validation, and the last weights are the result."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers import Qwen3ForCausalLM

from kitrec.llm.base.precision import computes_in_bf16
from kitrec.tinybase.curriculum import CurriculumBatch
from kitrec.training.checkpoint import resume, save_checkpoint
from kitrec.training.loop import run_epochs
from kitrec.training.schedule import half_cosine, set_learning_rate
from kitrec.training.selection import TRAINING_LOSS, LoopConfig
from kitrec.training.state import Row, TrainingState

WARMUP_STEPS = 50
FINAL_FACTOR = 0.1  # of the highest learning rate
SAVE_EVERY = 100


@dataclass(frozen=True)
class StepMetrics:
    """Numbers of one update: the loss, and how often a thought chose the right id (None where nothing is chosen)."""

    step: int
    task: str
    tokens: int
    loss: float
    right_choice: float | None


def pretrain(
    model: Qwen3ForCausalLM,
    batch_of: Callable[[int], CurriculumBatch],
    steps: int,
    learning_rate: float,
    opener: int,
    work: Path,
    on_step_end: Callable[[StepMetrics], None],
) -> None:
    """Train `steps` updates, from the last checkpoint on; after the token `opener` a thought chooses an id."""
    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    gains = [weight for weight in model.parameters() if weight.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.01}, {"params": gains, "weight_decay": 0.0}], betas=(0.9, 0.98)
    )
    state = TrainingState(model, optimizer, weights=lambda: dict(model.named_parameters()))  # tied weights once
    resume(state, work)
    model.train()

    def stretch(number: int) -> Row:
        total, after = 0.0, min((number + 1) * SAVE_EVERY, steps)
        for step in range(number * SAVE_EVERY + 1, after + 1):
            set_learning_rate(optimizer, learning_rate, _rate_factor(step, steps))
            metrics = _update(model, optimizer, batch_of(step), step, opener)
            on_step_end(metrics)
            total += metrics.loss
        return {"epoch": number + 1, "step": after, "loss": total / (after - number * SAVE_EVERY)}

    config = LoopConfig(ceil(steps / SAVE_EVERY), TRAINING_LOSS)
    run_epochs(stretch, None, config, state, lambda state: save_checkpoint(state, {}, TRAINING_LOSS, work))


def _update(
    model: Qwen3ForCausalLM, optimizer: torch.optim.Optimizer, batch: CurriculumBatch, step: int, opener: int
) -> StepMetrics:
    mask = batch.loss_mask[:, 1:]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=computes_in_bf16()):
        hidden = model.model(input_ids=batch.input_ids, use_cache=False).last_hidden_state[:, :-1]
        logits = model.lm_head(hidden[mask])
    labels, before = batch.input_ids[:, 1:][mask], batch.input_ids[:, :-1][mask]
    loss = F.cross_entropy(logits.float(), labels)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    right = (logits.argmax(-1) == labels)[before == opener].tolist()
    return StepMetrics(step, batch.task, batch.n_tokens, loss.item(), sum(right) / len(right) if right else None)


def _rate_factor(step: int, steps: int) -> float:
    return min(1.0, step / WARMUP_STEPS) * (FINAL_FACTOR + (1 - FINAL_FACTOR) * half_cosine(step, steps))
