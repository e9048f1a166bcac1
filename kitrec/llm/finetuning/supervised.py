"""A causal LM that returns its own loss, so that DDP and FSDP wrap it as they wrap any model.

Loss: loss.py, summed over the supervised tokens; logits exist at those positions alone.
NEFTune (Jain et al. 2023, arXiv 2310.05914, algorithm 1):  x' = x + alpha / sqrt(L d) u,  u ~ U(-1, 1)
Shapes: x [batch, positions, d]; L is the length of each sample. Deviation from transformers, whose L is the padded
length of the batch: there the noise on a sample depends on its neighbours."""

from types import MethodType
from typing import Any

import torch

from kitrec.llm.finetuning.dataset import IGNORED
from kitrec.llm.finetuning.frozen_head_loss import summed_loss


def learn_supervised(decoder: Any, *, smoothing: float, neftune_alpha: float) -> None:
    """Replace the forward of a transformers causal LM by its loss: (input_ids, labels, lengths) -> sum."""

    def forward(
        self: Any, *, input_ids: torch.Tensor, labels: torch.Tensor, lengths: torch.Tensor, **_: Any
    ) -> torch.Tensor:
        embedded = self.get_input_embeddings()(input_ids)
        if self.training and neftune_alpha:
            embedded = embedded + noise_like(embedded, lengths, neftune_alpha)
        # No mask: padding is on the right, causal attention never sees it, and the masked kernel does twice the work.
        hidden = self.model(inputs_embeds=embedded, use_cache=False).last_hidden_state[:, :-1]
        wanted = labels[:, 1:]
        learned = wanted != IGNORED
        return summed_loss(self.lm_head.weight, hidden[learned], wanted[learned], smoothing if self.training else 0.0)

    decoder.forward = MethodType(forward, decoder)


def noise_like(embedded: torch.Tensor, lengths: torch.Tensor, alpha: float) -> torch.Tensor:
    """NEFTune's noise for embeddings of samples of these lengths."""
    size = alpha / torch.sqrt(lengths * embedded.shape[-1])
    return torch.empty_like(embedded).uniform_(-1, 1) * size[:, None, None].to(embedded.dtype)
