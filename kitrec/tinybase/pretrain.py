"""Pre-training of the tiny base: next-token loss, whole on the answers and light on the prompts.

L = Σ_t w_t CE_t / Σ_t w_t,   w = 1 on the assistant's turn, `PROMPT_WEIGHT` before it"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from transformers import Qwen3ForCausalLM, get_cosine_schedule_with_warmup

from kitrec.prompts.tokens import Turn
from kitrec.tinybase.params import TinyBase

PROMPT_WEIGHT = 0.1
WARMUP = 0.05
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def pretrain(
    model: Qwen3ForCausalLM, batches: Iterator[Batch], p: TinyBase, report: Callable[[int, float, float], None]
) -> None:
    """`p.steps` updates; `report(step, answer loss, tokens)` is called after each."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=p.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimizer, int(WARMUP * p.steps), p.steps)
    model.train()
    for step, (ids, mask, weight) in zip(range(1, p.steps + 1), batches, strict=False):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
        losses = F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view_as(
            weight[:, 1:]
        )
        loss = (losses * weight[:, 1:]).sum() / weight[:, 1:].sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        answer = weight[:, 1:] == 1
        report(step, losses[answer].mean().item(), float(mask.sum()))


def batch_of(turns: list[Turn], pad_id: int) -> Batch:
    """ids, mask and loss weights, padded on the right."""
    rows = [turn.prompt + turn.answer for turn in turns]
    longest = max(map(len, rows))
    ids = np.full((len(rows), longest), pad_id)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    weight = np.zeros((len(rows), longest), dtype=np.float32)
    for k, (row, turn) in enumerate(zip(rows, turns, strict=True)):
        ids[k, : len(row)], mask[k, : len(row)] = row, 1
        weight[k, : len(turn.prompt)], weight[k, len(turn.prompt) : len(row)] = PROMPT_WEIGHT, 1.0
    return torch.from_numpy(ids), torch.from_numpy(mask), torch.from_numpy(weight)
