"""Composed prompts as embeddings: the LLM's own for tokens, projected vectors in the slots.

The same embeddings feed transformers (`inputs_embeds`) and vLLM (`prompt_embeds`); neither needs a changed tokenizer or
library. Shapes: B prompts, T positions, h hidden width."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from kitrec.core.errors import InputError
from kitrec.thinkrec.prompt_composer import ComposedPrompt

Side = Literal["left", "right"]


@dataclass(frozen=True)
class EmbeddedBatch:
    """A padded batch: embeddings [B, T, h], the mask of real positions [B, T], and where each row begins [B]."""

    rows: torch.Tensor
    mask: torch.Tensor
    starts: torch.Tensor

    @property
    def positions(self) -> torch.Tensor:
        """Positions [B, T], counted from each row's first real token."""
        return (self.mask.long().cumsum(1) - 1).clamp(min=0)


def embed(
    prompts: Sequence[ComposedPrompt], table: nn.Module, projector: nn.Module | None, side: Side
) -> EmbeddedBatch:
    """Embed a batch of prompts, padded with zeros on one side."""
    lengths = np.array([len(prompt) for prompt in prompts])
    longest = int(lengths.max())
    starts = longest - lengths if side == "left" else np.zeros_like(lengths)
    ids, real = np.zeros((len(prompts), longest), dtype=np.int64), np.zeros((len(prompts), longest), dtype=bool)
    slots = []
    for row, (prompt, start) in enumerate(zip(prompts, starts, strict=True)):
        ids[row, start : start + len(prompt)] = prompt.ids
        real[row, start : start + len(prompt)] = True
        slots += [(row, start + slot) for slot in prompt.slots]
    weight: Any = table.weight
    mask = torch.from_numpy(real).to(weight.device)
    rows = table(torch.from_numpy(ids).to(weight.device)) * mask[..., None]
    if slots:
        rows = _inject(rows, slots, prompts, projector)
    return EmbeddedBatch(rows, mask, torch.from_numpy(starts))


def _inject(
    rows: torch.Tensor, slots: list[tuple[int, int]], prompts: Sequence[ComposedPrompt], projector: nn.Module | None
) -> torch.Tensor:
    if projector is None:
        raise InputError("a prompt shows vectors, but there is no projector: train stage `projector` first")
    vectors = np.concatenate([prompt.vectors for prompt in prompts if len(prompt.slots)])
    inner: Any = projector.inner
    if vectors.shape[1] != inner.in_features:
        raise InputError(
            f"vectors have width {vectors.shape[1]}, the projector was made for {inner.in_features}: use the vectors "
            "of the model that it was trained with, or train it again"
        )
    projected = projector(torch.from_numpy(vectors).to(inner.weight.device, inner.weight.dtype)).to(rows.dtype)
    row, position = (torch.tensor(axis, device=rows.device) for axis in zip(*slots, strict=True))
    return rows.index_put((row, position), projected)
