"""Composed prompts as embeddings: the LLM's own for tokens, projected vectors in the slots.

The same embeddings feed transformers (`inputs_embeds`) and vLLM (`prompt_embeds`); neither needs another tokenizer or
another file of the library. Shapes: B prompts, T positions, h hidden width."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from kitrec.core.errors import InputError
from kitrec.thinkrec.prompt_composer import Composed

Side = Literal["left", "right"]


@dataclass(frozen=True)
class Embedded:
    """A padded batch: embeddings [B, T, h], which positions are real [B, T], and where each row begins [B]."""

    rows: torch.Tensor
    real: torch.Tensor
    starts: torch.Tensor

    @property
    def positions(self) -> torch.Tensor:
        """[B, T] counted from each row's first real token."""
        return (self.real.long().cumsum(1) - 1).clamp(min=0)


def embed(prompts: Sequence[Composed], table: nn.Module, projector: nn.Module | None, side: Side) -> Embedded:
    """A batch of prompts, padded with zeros on one side."""
    lengths = np.array([len(own) for own in prompts])
    longest = int(lengths.max())
    starts = longest - lengths if side == "left" else np.zeros_like(lengths)
    ids, real = np.zeros((len(prompts), longest), dtype=np.int64), np.zeros((len(prompts), longest), dtype=bool)
    for row, (own, start) in enumerate(zip(prompts, starts, strict=True)):
        ids[row, start : start + len(own)] = own.ids
        real[row, start : start + len(own)] = True
    weight: Any = table.weight
    kept = torch.from_numpy(real).to(weight.device)
    rows = table(torch.from_numpy(ids).to(weight.device)) * kept[..., None]
    where = [
        (row, start + slot) for row, (own, start) in enumerate(zip(prompts, starts, strict=True)) for slot in own.slots
    ]
    if where:
        rows = _injected(rows, where, prompts, projector)
    return Embedded(rows, kept, torch.from_numpy(starts))


def _injected(
    rows: torch.Tensor, where: list[tuple[int, int]], prompts: Sequence[Composed], projector: nn.Module | None
) -> torch.Tensor:
    if projector is None:
        raise InputError("a prompt shows vectors, but no projector is there: train stage `projector` first")
    vectors = np.concatenate([own.vectors for own in prompts if len(own.slots)])
    inner: Any = projector.inner
    if vectors.shape[1] != inner.in_features:
        raise InputError(
            f"vectors have width {vectors.shape[1]}, the projector was made for {inner.in_features}: take the vectors "
            "of the model that it was trained with, or train it again"
        )
    projected = projector(torch.from_numpy(vectors).to(inner.weight.device, inner.weight.dtype)).to(rows.dtype)
    row, place = (torch.tensor(own, device=rows.device) for own in zip(*where, strict=True))
    return rows.index_put((row, place), projected)
