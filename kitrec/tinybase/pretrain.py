"""Pre-training of the tiny base: next-token loss on the positions of a batch's loss mask, logits only there.

L = mean over masked t of CE(x_t | x_<t); AdamW, linear warm-up, cosine to a tenth."""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from transformers import Qwen3ForCausalLM

from kitrec.core import files
from kitrec.tinybase.curriculum import CurriculumBatch

WARMUP_STEPS = 50
LAST = 0.1  # learning rate at the end, as a share of the highest
SAVE_EVERY = 100


@dataclass(frozen=True)
class StepMetrics:
    """What one step shows: the loss, and how often a thought chose the right id (None where nothing is chosen)."""

    step: int
    task: str
    tokens: int
    loss: float
    right_choice: float | None


def pretrain(
    model: Qwen3ForCausalLM,
    batch_at: Callable[[int], CurriculumBatch],
    steps: int,
    learning_rate: float,
    opener: int,
    work: Path,
    report: Callable[[StepMetrics], None],
) -> None:
    """`steps` updates, from the last saved one on; `opener` is the token behind which a thought chooses an id."""
    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    gains = [weight for weight in model.parameters() if weight.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.01}, {"params": gains, "weight_decay": 0.0}], betas=(0.9, 0.98)
    )
    model.train()
    for step in range(_resume(model, optimizer, work) + 1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * _schedule(step, steps)
        report(_update(model, optimizer, batch_at(step), step, opener))
        if step % SAVE_EVERY == 0:
            _save(model, optimizer, step, work)


def _update(
    model: Qwen3ForCausalLM, optimizer: torch.optim.Optimizer, batch: CurriculumBatch, step: int, opener: int
) -> StepMetrics:
    loss_mask = batch.loss_mask[:, 1:]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.model(input_ids=batch.input_ids, use_cache=False).last_hidden_state[:, :-1]
        logits = model.lm_head(hidden[loss_mask])
    labels, previous = batch.input_ids[:, 1:][loss_mask], batch.input_ids[:, :-1][loss_mask]
    loss = F.cross_entropy(logits.float(), labels)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    right = (logits.argmax(-1) == labels)[previous == opener].tolist()
    return StepMetrics(step, batch.task, batch.n_tokens, loss.item(), sum(right) / len(right) if right else None)


def _schedule(step: int, steps: int) -> float:
    return min(1.0, step / WARMUP_STEPS) * (LAST + (1 - LAST) * 0.5 * (1 + cos(pi * step / steps)))


def _save(model: Qwen3ForCausalLM, optimizer: torch.optim.Optimizer, step: int, work: Path) -> None:
    tensors = {f"weight.{k}": weight.detach() for k, weight in enumerate(model.parameters())}
    for k, state in optimizer.state_dict()["state"].items():
        tensors |= {f"state.{k}.{name}": tensor for name, tensor in state.items()}
    with files.atomic(work / "checkpoint.safetensors") as draft:
        save_file(tensors | {"step": torch.tensor(step)}, draft)


def _resume(model: Qwen3ForCausalLM, optimizer: torch.optim.AdamW, work: Path) -> int:
    """The step of the checkpoint in the work folder, its weights and moments put back; 0 without one."""
    if not (work / "checkpoint.safetensors").exists():
        return 0
    tensors = load_file(work / "checkpoint.safetensors")
    with torch.no_grad():
        for k, weight in enumerate(model.parameters()):
            weight.copy_(tensors[f"weight.{k}"])
    whole = optimizer.state_dict()
    for name, tensor in tensors.items():
        if name.startswith("state."):
            _, number, moment = name.split(".")
            whole["state"].setdefault(int(number), {})[moment] = tensor
    optimizer.load_state_dict(whole)
    return int(tensors["step"])
