"""The fine-tuning loss: cross-entropy with label smoothing over supervised positions, through a frozen head.

    L = Σ_t [ logsumexp(z_t) - (1 - e) z_t[y_t] - e/V Σ_v z_t[v] ],   z_t = W h_t
(Szegedy et al. 2016, section 7, with log p = z - logsumexp(z)). LoRA leaves W as it is, so all that the backward pass
needs is dL/dh_t = W^T (softmax(z_t) - (1 - e) onehot(y_t) - e/V): it is computed in the forward pass, CHUNK positions
at a time, while their logits exist, and no logit is computed twice. Shapes: h [N, width], y [N], W [V, width].

NEFTune (Jain et al. 2023, arXiv 2310.05914, algorithm 1):  x' = x + alpha / sqrt(L d) u,  u ~ U(-1, 1)
Shapes: x [batch, positions, d]; L is the length of each sample. Deviation from transformers, whose L is the padded
length of the batch: there the noise on a sample depends on its neighbours."""

from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F

from kitrec.llm.base.layers import refuse_biased_head, refuse_changed_logits
from kitrec.llm.finetuning.dataset import IGNORE_INDEX

CHUNK = 256


def replace_forward_by_loss(decoder: Any, *, smoothing: float, neftune_alpha: float) -> None:
    """Replace the forward of a transformers causal LM by (input_ids, labels, lengths) -> summed loss.

    The model returns its own loss, so that DDP and FSDP wrap it as they wrap any model."""

    def forward(
        self: Any, *, input_ids: torch.Tensor, labels: torch.Tensor, lengths: torch.Tensor, **_: Any
    ) -> torch.Tensor:
        embedded = self.get_input_embeddings()(input_ids)
        if self.training and neftune_alpha:
            embedded = embedded + neftune_noise(embedded, lengths, neftune_alpha)
        # No mask: padding is on the right, causal attention never sees it, and the masked kernel does twice the work.
        hidden = self.get_decoder()(inputs_embeds=embedded, use_cache=False).last_hidden_state[:, :-1]
        targets = labels[:, 1:]
        supervised = targets != IGNORE_INDEX
        epsilon = smoothing if self.training else 0.0
        return summed_loss(self.get_output_embeddings().weight, hidden[supervised], targets[supervised], epsilon)

    refuse_changed_logits(decoder.config)
    refuse_biased_head(decoder)
    decoder.forward = MethodType(forward, decoder)


def neftune_noise(embedded: torch.Tensor, lengths: torch.Tensor, alpha: float) -> torch.Tensor:
    """Return NEFTune's noise for the embeddings of samples of these lengths."""
    scale = alpha / torch.sqrt(lengths * embedded.shape[-1])
    return torch.empty_like(embedded).uniform_(-1, 1) * scale[:, None, None].to(embedded.dtype)


def summed_loss(weight: torch.Tensor, hidden: torch.Tensor, targets: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Return the sum of the loss over positions; the caller divides by its N."""
    return _FrozenHeadLoss.apply(weight, hidden, targets, smoothing)


class _FrozenHeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight: torch.Tensor, hidden: torch.Tensor, targets: torch.Tensor, smoothing: float
    ) -> torch.Tensor:
        gradient = torch.empty_like(hidden) if hidden.requires_grad else None
        total = hidden.new_zeros((), dtype=torch.float32)
        with torch.autocast(hidden.device.type, enabled=False):
            for start in range(0, len(targets), CHUNK):
                chunk = slice(start, start + CHUNK)
                logits = F.linear(hidden[chunk].to(weight.dtype), weight).float()
                label = targets[chunk, None]
                log_normaliser = logits.logsumexp(-1, keepdim=True)
                target_logits = logits.gather(1, label)
                target_terms = (log_normaliser - (1 - smoothing) * target_logits).sum()
                total += target_terms - smoothing / len(weight) * logits.sum()
                if gradient is not None:
                    slope = logits.sub_(log_normaliser).exp_()  # in place: the softmax where the logits were
                    slope.scatter_add_(1, label, torch.full_like(target_logits, smoothing - 1))
                    slope.sub_(smoothing / len(weight))
                    gradient[chunk] = slope.to(weight.dtype) @ weight
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[None, torch.Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return None, gradient * upstream[0], None, None
