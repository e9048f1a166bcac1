"""How much each expert has to say to a sample, from what the frozen sequence model saw of its reader.

    dense   g = softmax(W s)                                             (iLoRA, arXiv 2408.10159)
    top_k   the k largest of W s through the softmax, 0 for the others
    mlp     g = softmax(W2 GELU(W1 s))
    noisy   H = W s + ε · softplus(W_noise s), ε ~ N(0, 1) in training alone; then as top_k
            (Shazeer et al. 2017, arXiv 1701.06538, eqs. 3-5)
Shapes: B samples, d the width of s, K experts. All weights of a sample sum to 1."""

import torch
import torch.nn.functional as F
from torch import nn

from kitrec.ilora import params


def build_gate(p: params.Gate, width: int, experts: int) -> nn.Module:
    """[B, d] -> [B, K]."""
    match p:
        case params.Dense():
            return Dense(width, experts)
        case params.TopK():
            return TopK(width, experts, p.kept)
        case params.MLP():
            return MLP(width, experts, p.hidden)
        case params.Noisy():
            return Noisy(width, experts, p.kept)


class Dense(nn.Module):
    def __init__(self, width: int, experts: int) -> None:
        super().__init__()
        self.weigh = nn.Linear(width, experts, bias=False)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return self.weigh(seen).softmax(-1)


class TopK(Dense):
    def __init__(self, width: int, experts: int, kept: int) -> None:
        super().__init__(width, experts)
        self.kept = kept

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return _of_the_largest(self.weigh(seen), self.kept)


class MLP(nn.Module):
    def __init__(self, width: int, experts: int, hidden: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, hidden), nn.Linear(hidden, experts, bias=False)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return self.outer(F.gelu(self.inner(seen))).softmax(-1)


class Noisy(TopK):
    def __init__(self, width: int, experts: int, kept: int) -> None:
        super().__init__(width, experts, kept)
        self.noise = nn.Linear(width, experts, bias=False)
        nn.init.zeros_(self.noise.weight)  # the same noise for all to begin with

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        logits = self.weigh(seen)
        if self.training:
            logits = logits + torch.randn_like(logits) * F.softplus(self.noise(seen))
        return _of_the_largest(logits, self.kept)


def _of_the_largest(logits: torch.Tensor, kept: int) -> torch.Tensor:
    largest = logits.topk(kept, dim=-1)
    return torch.zeros_like(logits).scatter(-1, largest.indices, largest.values.softmax(-1))
