"""Cross-entropy with label smoothing over supervised positions, through a frozen head, never holding all logits.

    L = Σ_t [ logsumexp(z_t) - (1 - e) z_t[y_t] - e/V Σ_v z_t[v] ],   z_t = W h_t
(Szegedy et al. 2016, section 7, with log p = z - logsumexp(z)). LoRA leaves W as it is, so all that the backward pass
needs is dL/dh_t = W^T (softmax(z_t) - (1 - e) onehot(y_t) - e/V): it is made in the forward pass, CHUNK positions at a
time, while their logits are there, and no logit is ever computed twice. Shapes: h [N, width], y [N], W [V, width]."""

from typing import Any

import torch
import torch.nn.functional as F

CHUNK = 256


def summed_loss(weight: torch.Tensor, hidden: torch.Tensor, wanted: torch.Tensor, smoothing: float) -> torch.Tensor:
    """The sum over positions; the caller divides by its N."""
    return _FrozenHeadLoss.apply(weight, hidden, wanted, smoothing)


class _FrozenHeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight: torch.Tensor, hidden: torch.Tensor, wanted: torch.Tensor, smoothing: float
    ) -> torch.Tensor:
        gradient = torch.empty_like(hidden) if hidden.requires_grad else None
        total = hidden.new_zeros((), dtype=torch.float32)
        with torch.autocast(hidden.device.type, enabled=False):
            for start in range(0, len(wanted), CHUNK):
                part = slice(start, start + CHUNK)
                logits = F.linear(hidden[part].to(weight.dtype), weight).float()
                label = wanted[part, None]
                largest = logits.logsumexp(-1, keepdim=True)
                chosen = logits.gather(1, label)
                total += (largest - (1 - smoothing) * chosen).sum() - smoothing / len(weight) * logits.sum()
                if gradient is not None:
                    slope = logits.sub_(largest).exp_()  # in place: the softmax where the logits were
                    slope.scatter_add_(1, label, torch.full_like(chosen, smoothing - 1))
                    slope.sub_(smoothing / len(weight))
                    gradient[part] = slope.to(weight.dtype) @ weight
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[None, torch.Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return None, gradient * upstream[0], None, None
