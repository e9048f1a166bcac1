"""The teacher: a frozen base with gated LoRA experts, item tokens, and a gate driven by the user's history.

Trained are experts, gate and projector (`learned`); the base and the sequence encoder stay frozen."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from kitrec.core.randomness import derived_seed
from kitrec.ilora.experts import GateContext, add_experts
from kitrec.ilora.gates import build_gate
from kitrec.ilora.hybrid_embedding import HybridEmbedding, Projector
from kitrec.ilora.params import Ilora, Mixture
from kitrec.ilora.prompts import PromptBuilder
from kitrec.ilora.sequence_encoder import SequenceEncoder
from kitrec.llm.base.layers import refuse_biased_head, refuse_changed_logits
from kitrec.prompts.shown_items import Item
from kitrec.prompts.tokens import Encoder


class Learned(nn.Module):
    """All trainable modules of a teacher; experts by the name of their layer."""

    def __init__(self, experts: dict[str, nn.Module], gate: nn.Module, projector: Projector) -> None:
        super().__init__()
        self.experts = nn.ModuleDict({name.replace(".", "/"): module for name, module in experts.items()})
        self.gate, self.projector = gate, projector


class Teacher:
    """A base that answers each sample with its own mixture of experts."""

    def __init__(self, base: Any, encoder: SequenceEncoder, p: Mixture) -> None:
        refuse_changed_logits(base.config)
        refuse_biased_head(base)
        self.sequence_encoder, self.base = encoder, base
        self._gates = GateContext(p.rank // p.experts)
        text_embedding = base.get_input_embeddings()
        self.vocab_size: int = text_embedding.num_embeddings
        device = text_embedding.weight.device
        experts = add_experts(base, p, self._gates)
        projector = Projector(encoder.width, text_embedding.embedding_dim).to(device)
        base.set_input_embeddings(HybridEmbedding(text_embedding, encoder.item_vectors, projector))
        gate = build_gate(p.gate, encoder.width, p.experts).to(device)
        self.learned = Learned(dict(experts), gate, projector)

    @property
    def device(self) -> torch.device:
        return self.base.get_output_embeddings().weight.device

    @property
    def decoder(self) -> Any:
        """The transformer without its head."""
        return self.base.get_decoder()

    def train(self, mode: bool = True) -> None:
        """Switch between training (dropout, gate noise) and inference."""
        self.base.train(mode)
        self.learned.train(mode)

    def gates(self, user_embeddings: torch.Tensor) -> torch.Tensor:
        """Compute the gates [B, K] of the encoder's user embeddings [B, d]."""
        return self.learned.gate(user_embeddings.to(self.device))

    @contextmanager
    def use_gates(self, gates: torch.Tensor) -> Iterator[None]:
        """Answer each sample of a batch under its own gates [B, K] inside the block."""
        with self._gates.activate(gates):
            yield


def new_teacher(p: Ilora, loaded_base: Any, encoder: SequenceEncoder, seed: int) -> Teacher:
    """Return a teacher with initial weights: its experts add nothing yet."""
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "teacher weights"))
        return Teacher(loaded_base, encoder, p.mixture)


def prompt_builder_for(teacher: Teacher, encoder: Encoder, items: Mapping[str, Item], p: Ilora) -> PromptBuilder:
    """Return the builder of this teacher's prompts."""
    item_numbers = teacher.sequence_encoder.item_numbers if p.prompt.hybrid else {}
    return PromptBuilder(encoder, items, item_numbers, teacher.vocab_size, p.prompt)
