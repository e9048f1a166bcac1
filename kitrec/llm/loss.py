"""Cross-entropy with label smoothing over supervised positions, without ever holding all their logits.

    L = -(1/N) Σ_t [ (1 - e) log p(y_t) + e/V Σ_v log p(v) ],   N = supervised tokens, V = vocabulary
(Szegedy et al. 2016, section 7). Logits of CHUNK positions at a time; where there are more, those of each chunk are
computed again in the backward pass. Shapes: hidden [N, width], wanted [N]."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

CHUNK = 1024
Head = Callable[[torch.Tensor], torch.Tensor]


def summed_loss(head: Head, hidden: torch.Tensor, wanted: torch.Tensor, smoothing: float) -> torch.Tensor:
    """The sum over positions; the caller divides by its N."""
    if len(wanted) <= CHUNK:
        return _chunk_loss(head, hidden, wanted, smoothing)
    parts = zip(hidden.split(CHUNK), wanted.split(CHUNK), strict=True)
    if not torch.is_grad_enabled():
        return torch.stack([_chunk_loss(head, h, w, smoothing) for h, w in parts]).sum()
    losses = [checkpoint(_chunk_loss, head, h, w, smoothing, use_reentrant=False) for h, w in parts]
    return torch.stack(losses).sum()


def _chunk_loss(head: Head, hidden: torch.Tensor, wanted: torch.Tensor, smoothing: float) -> torch.Tensor:
    return F.cross_entropy(head(hidden).float(), wanted, reduction="sum", label_smoothing=smoothing)
