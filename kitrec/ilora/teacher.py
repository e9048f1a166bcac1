"""The teacher: a frozen base with gated experts, words for items, and the gate that a reader's history opens.

Learned are experts, gate and projector (`learned`); the base and the sequence model never are."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from kitrec.core.errors import InputError
from kitrec.ilora.experts import Gates, add_experts
from kitrec.ilora.gates import build_gate
from kitrec.ilora.hybrid_embedding import HybridEmbedding, Projector
from kitrec.ilora.params import Mixture
from kitrec.ilora.sequence_encoder import Eyes
from kitrec.llm.likelihood.shared_prefix import refuse_changed_logits


class Learned(nn.Module):
    """All that a teacher learns; experts by the layer they sit on."""

    def __init__(self, experts: dict[str, nn.Module], gate: nn.Module, projector: Projector) -> None:
        super().__init__()
        self.experts = nn.ModuleDict({name.replace(".", "/"): own for name, own in experts.items()})
        self.gate, self.projector = gate, projector


class Teacher:
    """A base that answers for each sample by its own mixture of experts."""

    def __init__(self, base: Any, eyes: Eyes, p: Mixture) -> None:
        refuse_changed_logits(base.config)
        if getattr(base.get_output_embeddings(), "bias", None) is not None:
            raise InputError(
                f"the head of {base.config.model_type} has a bias, which the loss does not know: take another"
            )
        self.eyes, self.base = eyes, base
        self._gates = Gates(p.rank // p.experts)
        words = base.get_input_embeddings()
        self.words: int = words.num_embeddings
        device = words.weight.device
        experts = add_experts(base, p, self._gates)
        projector = Projector(eyes.width, words.embedding_dim).to(device)
        base.set_input_embeddings(HybridEmbedding(words, eyes.vectors.to(device), projector))
        gate = build_gate(p.gate, eyes.width, p.experts).to(device)
        self.learned = Learned(dict(experts), gate, projector)

    @property
    def device(self) -> torch.device:
        return self.base.get_output_embeddings().weight.device

    @property
    def decoder(self) -> Any:
        """The transformer without its head."""
        return self.base.get_decoder()

    def train(self, mode: bool = True) -> None:
        """Whether it learns (dropout, noise of the gate) or answers."""
        self.base.train(mode)
        self.learned.train(mode)

    def gates(self, seen: torch.Tensor) -> torch.Tensor:
        """[B, K] from what the eyes saw of each sample's reader [B, d]."""
        return self.learned.gate(seen.to(self.device))

    @contextmanager
    def speaking(self, gates: torch.Tensor) -> Iterator[None]:
        """Within, each sample of a batch is answered by its own gates [B, K]."""
        with self._gates.speak(gates):
            yield
