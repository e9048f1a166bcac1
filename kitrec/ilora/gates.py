"""The weight of each expert for a sample, computed from the frozen sequence encoder's embedding of its user.

    dense   g = softmax(W s)                                             (iLoRA, arXiv 2408.10159)
    top_k   the k largest of W s through the softmax, 0 for the others
    mlp     g = softmax(W2 GELU(W1 s))
    noisy   H = W s + ε · softplus(W_noise s), ε ~ N(0, 1) during training only; then as top_k
            (Shazeer et al. 2017, arXiv 1701.06538, eqs. 3-5)
Shapes: B samples, d the width of s, K experts. All weights of a sample sum to 1."""

import torch
import torch.nn.functional as F
from torch import nn

from kitrec.ilora import params


def build_gate(p: params.Gate, width: int, experts: int) -> nn.Module:
    """Build the gate [B, d] -> [B, K] that the params describe."""
    match p:
        case params.Dense():
            return Dense(width, experts)
        case params.TopK():
            return TopK(width, experts, p.active_experts)
        case params.MLP():
            return MLP(width, experts, p.hidden_size)
        case params.Noisy():
            return Noisy(width, experts, p.active_experts)


class Dense(nn.Module):
    def __init__(self, width: int, experts: int) -> None:
        super().__init__()
        self.weigh = nn.Linear(width, experts, bias=False)

    def forward(self, users: torch.Tensor) -> torch.Tensor:
        return self.weigh(users).softmax(-1)


class TopK(Dense):
    def __init__(self, width: int, experts: int, active_experts: int) -> None:
        super().__init__(width, experts)
        self.active_experts = active_experts

    def forward(self, users: torch.Tensor) -> torch.Tensor:
        return _softmax_of_largest(self.weigh(users), self.active_experts)


class MLP(nn.Module):
    def __init__(self, width: int, experts: int, hidden_size: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, hidden_size), nn.Linear(hidden_size, experts, bias=False)

    def forward(self, users: torch.Tensor) -> torch.Tensor:
        return self.outer(F.gelu(self.inner(users))).softmax(-1)


class Noisy(TopK):
    def __init__(self, width: int, experts: int, active_experts: int) -> None:
        super().__init__(width, experts, active_experts)
        self.noise = nn.Linear(width, experts, bias=False)
        nn.init.zeros_(self.noise.weight)  # training starts with the same noise for all experts

    def forward(self, users: torch.Tensor) -> torch.Tensor:
        logits = self.weigh(users)
        if self.training:
            logits = logits + torch.randn_like(logits) * F.softplus(self.noise(users))
        return _softmax_of_largest(logits, self.active_experts)


def _softmax_of_largest(logits: torch.Tensor, count: int) -> torch.Tensor:
    largest = logits.topk(count, dim=-1)
    return torch.zeros_like(logits).scatter(-1, largest.indices, largest.values.softmax(-1))
