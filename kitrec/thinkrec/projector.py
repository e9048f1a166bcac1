"""Projection of collaborative vectors into the hidden space of the LLM.

    y = s (W2 relu(W1 x + b1) + b2),   W1 [e d, d], W2 [h, e d],  e = 10  (CoLLM, arXiv 2310.19488, section 4.1.2)
Deviation: x is standardised by the mean and spread of the vectors of items and of training and development users, and a
fixed s gives y initially about the length of the LLM's own embeddings, which a frozen LLM expects. Scaling W2 instead
would make its weights smaller than a step of Adam: each step would redraw the projection.
Shapes: d width of a vector, e expansion, h hidden width of the LLM."""

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from kitrec.core import files
from kitrec.core.errors import InputError

SMALLEST = 1e-6


class Projector(nn.Module):
    def __init__(self, width: int, hidden_size: int, expansion: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, expansion * width), nn.Linear(expansion * width, hidden_size)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Project vectors [K, d] to [K, h]."""
        standard = (vectors - self.get_buffer("mean")) / self.get_buffer("spread")
        return self.get_buffer("scale") * self.outer(torch.relu(self.inner(standard)))

    @torch.no_grad()
    def fit_to(self, vectors: np.ndarray, embeddings: torch.Tensor) -> None:
        """Set the standardisation from the vectors [n, d] and the scale from the LLM's embeddings [V, h]."""
        rows = torch.from_numpy(vectors)
        self.get_buffer("mean").copy_(rows.mean(0))
        self.get_buffer("spread").copy_(rows.std(0, correction=0).clamp(min=SMALLEST))
        nn.init.zeros_(self.outer.bias)
        length = self(rows[:4096]).square().mean().sqrt().clamp(min=SMALLEST)
        self.get_buffer("scale").copy_(embeddings.float().square().mean().sqrt().cpu() / length)  # they may be on a GPU


def save_projector(projector: Projector, path: Path) -> None:
    """Write the weights; their shapes hold the rest."""
    with files.atomic(path) as draft:
        save_file({name: tensor.contiguous() for name, tensor in projector.state_dict().items()}, draft)


def load_projector(path: Path) -> Projector:
    """Load a projector written by save_projector."""
    try:
        tensors = load_file(path)
        inner, width = tensors["inner.weight"].shape
        projector = Projector(width, tensors["outer.weight"].shape[0], inner // width)
        projector.load_state_dict(tensors)
    except (SafetensorError, KeyError, ValueError, RuntimeError, FileNotFoundError) as problem:
        raise InputError(f"{path} holds no complete projector ({problem}): train stage `projector` again") from None
    return projector.eval()
