"""The LLM with its adapters and the projector, and its forward pass over a batch of samples.

Logits are computed only where an answer token is predicted. Shapes: B samples, A answer tokens, h hidden width."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from peft import LoraConfig, PeftModel, get_peft_model

from kitrec.llm.base.layers import decoder_of, lora_targets, refuse_changed_logits
from kitrec.thinkrec.injection import embed
from kitrec.thinkrec.objective import Outputs
from kitrec.thinkrec.params import Adapter
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


def with_adapter(llm: Any, p: Adapter, name: str) -> Any:
    """Add a fresh LoRA on all projections of attention and MLP, beside existing ones."""
    refuse_changed_logits(llm.config)
    config = LoraConfig(
        r=p.rank,
        lora_alpha=p.alpha,
        lora_dropout=p.dropout,
        target_modules=lora_targets(llm),
        bias="none",
        task_type="CAUSAL_LM",
    )
    if isinstance(llm, PeftModel):
        llm.add_adapter(name, config)
        return llm
    return get_peft_model(llm, config, adapter_name=name)


def adapter_weights(llm: PeftModel, name: str) -> dict[str, torch.nn.Parameter]:
    """Return the parameters of one adapter by their position in the LLM."""
    marks = (f".lora_A.{name}.", f".lora_B.{name}.")
    return {
        key.replace(mark, mark.replace(f".{name}.", ".")): weight
        for key, weight in llm.named_parameters()
        for mark in marks
        if mark in key
    }


@torch.no_grad()
def copy_adapter(llm: PeftModel, source: str, target: str) -> None:
    """Copy the weights of one adapter to another."""
    weights = adapter_weights(llm, source)
    for key, weight in adapter_weights(llm, target).items():
        weight.copy_(weights[key])
