"""The LLM with its adapters and the projector, and what a batch of samples says to it.

Logits exist where an answer token is predicted, nowhere else. Shapes: B samples, A answer tokens, h hidden width."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from peft import LoraConfig, PeftModel, get_peft_model

from kitrec.llm.base.params import PROJECTIONS
from kitrec.thinkrec.injection import embed
from kitrec.thinkrec.objective import Outputs
from kitrec.thinkrec.params import Adapter
from kitrec.thinkrec.projector import Projector
from kitrec.thinkrec.samples import Sample, Verdicts


@dataclass
class ThinkModel:
    """`llm` is a PEFT model; `projector` is None as long as prompts show no vectors."""

    llm: Any
    projector: Projector | None
    verdicts: Verdicts

    @property
    def table(self) -> Any:
        """The LLM's embeddings."""
        return self.llm.get_input_embeddings()

    @property
    def decoder(self) -> Any:
        """The transformer without its head, adapters in place."""
        return self.causal.model

    @property
    def causal(self) -> Any:
        """The LLM without PEFT's wrapper, adapters in place."""
        return self.llm.get_base_model() if isinstance(self.llm, PeftModel) else self.llm

    def outputs(self, samples: Sequence[Sample]) -> Outputs:
        """One forward of a batch, padded on the right, where causal attention never looks."""
        batch = embed([own.whole for own in samples], self.table, self.projector, "right")
        hidden = self.decoder(inputs_embeds=batch.rows, use_cache=False).last_hidden_state
        device = hidden.device
        places = [(row, len(s.prompt) + k - 1) for row, s in enumerate(samples) for k in range(len(s.answer))]
        row, place = (torch.tensor(own, device=device) for own in zip(*places, strict=True))
        answering = hidden[row, place]
        logits = self.causal.get_output_embeddings()(answering).float()
        wanted = torch.tensor([token for s in samples for token in s.answer], device=device)
        likelihoods = logits.gather(1, wanted[:, None])[:, 0] - logits.logsumexp(1)
        begins = torch.tensor([0, *(len(s.answer) for s in samples[:-1])], device=device).cumsum(0)
        yes, no = self.verdict_logits(answering[begins]).unbind(1)
        return Outputs(yes, no, likelihoods, row)

    def verdict_logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """[B, 2] of Yes and of No, in 32 bits: a head of 16 cannot tell most candidates' differences apart."""
        head, own = self.causal.get_output_embeddings(), [self.verdicts.yes, self.verdicts.no]
        bias = None if head.bias is None else head.bias[own].float()
        return F.linear(hidden.float(), head.weight[own].float(), bias)


def with_adapter(llm: Any, p: Adapter, name: str) -> Any:
    """A fresh LoRA on all projections of attention and MLP, beside those that are there."""
    config = LoraConfig(
        r=p.rank,
        lora_alpha=p.alpha,
        lora_dropout=p.dropout,
        target_modules=PROJECTIONS,
        bias="none",
        task_type="CAUSAL_LM",
    )
    if isinstance(llm, PeftModel):
        llm.add_adapter(name, config)
        return llm
    return get_peft_model(llm, config, adapter_name=name)


def adapter_weights(llm: PeftModel, name: str) -> dict[str, torch.nn.Parameter]:
    """The parameters of one adapter, by their place in the LLM."""
    marks = (f".lora_A.{name}.", f".lora_B.{name}.")
    return {
        key.replace(mark, mark.replace(f".{name}.", ".")): own
        for key, own in llm.named_parameters()
        for mark in marks
        if mark in key
    }


@torch.no_grad()
def copy_adapter(llm: PeftModel, source: str, target: str) -> None:
    """Let an adapter start as another one is."""
    given = adapter_weights(llm, source)
    for key, own in adapter_weights(llm, target).items():
        own.copy_(given[key])
