"""The LLM with its adapters and the projector, and its forward pass over a batch of samples.

Logits are computed only where an answer token is predicted. Shapes: B samples, A answer tokens, h hidden width."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from peft import PeftModel

from kitrec.llm.base.layers import decoder_of
from kitrec.thinkrec.injection import embed
from kitrec.thinkrec.objective import Outputs
from kitrec.thinkrec.projector import Projector
from kitrec.thinkrec.samples import Sample, VerdictTokens


@dataclass
class ThinkModel:
    """`llm` is a PEFT model; `projector` is None if prompts show no vectors."""

    llm: Any
    projector: Projector | None
    verdict_tokens: VerdictTokens

    @property
    def table(self) -> Any:
        """The LLM's input embeddings."""
        return self.llm.get_input_embeddings()

    @property
    def decoder(self) -> Any:
        """The transformer without its head, with adapters."""
        return decoder_of(self.llm)

    @property
    def causal(self) -> Any:
        """The LLM without PEFT's wrapper, with adapters."""
        return self.llm.get_base_model() if isinstance(self.llm, PeftModel) else self.llm

    def outputs(self, samples: Sequence[Sample]) -> Outputs:
        """Run one forward pass of a batch, padded on the right, where causal attention never looks."""
        batch = embed([s.sequence for s in samples], self.table, self.projector, "right")
        hidden = self.decoder(inputs_embeds=batch.rows, use_cache=False).last_hidden_state
        device = hidden.device
        positions = [(row, len(s.prompt) + k - 1) for row, s in enumerate(samples) for k in range(len(s.answer))]
        row, position = (torch.tensor(axis, device=device) for axis in zip(*positions, strict=True))
        answering = hidden[row, position]
        logits = self.causal.get_output_embeddings()(answering).float()
        targets = torch.tensor([token for s in samples for token in s.answer], device=device)
        token_log_probs = logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(1)
        first_tokens = torch.tensor([0, *(len(s.answer) for s in samples[:-1])], device=device).cumsum(0)
        yes, no = self.verdict_logits(answering[first_tokens]).unbind(1)
        item = torch.tensor([s.item for s in samples], device=device)
        return Outputs(yes, no, token_log_probs, row, item)

    def verdict_logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits [B, 2] of Yes and of No in 32 bits: a 16-bit head cannot separate most candidates."""
        head, tokens = self.causal.get_output_embeddings(), [self.verdict_tokens.yes, self.verdict_tokens.no]
        bias = None if head.bias is None else head.bias[tokens].float()
        return F.linear(hidden.float(), head.weight[tokens].float(), bias)
