"""Users and items as vectors of the same language model, compared by their cosine.

    e_i     = LayerNorm(mean over the tokens of title i of the last hidden states - c)
    u       = normalise(Σ_k softmax_k(q_d · e_k) U_d e_k)      k: history, d: whether k is of a target domain
    v_i     = normalise(V e_i)
    s(u, i) = exp(t) u · v_i
Two towers over one text encoder as in dense retrieval (Karpukhin et al., EMNLP 2020); the user's side pools titles that
are encoded apart, so that each title is read once and stored (UniSRec, Hou et al., KDD 2022, does so with a frozen
BERT). c, the mean title of the base, removes what all titles share: hidden states of LLMs point into a narrow cone.
Shapes: n titles, B users, L items of a history, h hidden width of the base, d width of the towers."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from kitrec.llm.base.layers import decoder_of

INITIAL_SCALE, LARGEST_SCALE = 10.0, 100.0  # of cosines; CLIP (Radford et al., 2021) bounds it by 100 as well
BATCH_TOKENS = 8192


class Towers(nn.Module):
    """The trained heads of users and items over title vectors."""

    centre: torch.Tensor

    def __init__(self, hidden: int, width: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(hidden))
        self.norm, self.dropout = nn.LayerNorm(hidden), nn.Dropout(dropout)
        self.history = nn.ModuleList([nn.Linear(hidden, width), nn.Linear(hidden, width)])  # source, target
        self.queries = nn.Parameter(torch.zeros(2, hidden))
        self.item = nn.Linear(hidden, width)
        self.log_scale = nn.Parameter(torch.tensor(math.log(INITIAL_SCALE)))
        for tower in self.history:  # a user starts as the mean of the items shown
            tower.load_state_dict(self.item.state_dict())

    def items(self, titles: torch.Tensor) -> torch.Tensor:
        """Return v [n, d] of title vectors [n, h]."""
        return F.normalize(self.item(self._entries(titles)), dim=-1)

    def users(self, titles: torch.Tensor, is_target: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
        """Return u [B, d] of title vectors [B, L, h]; `is_target` and `shown` are [B, L]."""
        entries, domain = self._entries(titles), is_target.long()
        attention = (entries * self.queries[domain]).sum(-1).masked_fill(~shown, -torch.inf).softmax(-1)
        source, target = (tower(entries) for tower in self.history)
        values = torch.where(is_target[..., None], target, source)
        return F.normalize((attention[..., None] * values).sum(1), dim=-1)

    @property
    def scale(self) -> torch.Tensor:
        """exp(t), bounded."""
        return self.log_scale.exp().clamp(max=LARGEST_SCALE)

    def _entries(self, titles: torch.Tensor) -> torch.Tensor:
        entries: torch.Tensor = self.dropout(self.norm(titles - self.centre))
        return entries


def title_vectors(llm: Any, titles: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return the mean last hidden state of each title [n, h] in float32, read in batches of similar length."""
    decoder = decoder_of(llm)
    order = sorted(range(len(titles)), key=lambda k: len(titles[k]))
    parts = [_mean_states(decoder, [titles[k] for k in batch]) for batch in _batches(titles, order)]
    back = torch.tensor(order, device=parts[0].device).argsort()
    return torch.cat(parts)[back]


def _mean_states(decoder: Any, titles: list[Sequence[int]]) -> torch.Tensor:
    """Read titles padded on the right, where causal attention never looks; an empty title is one padding token."""
    lengths = torch.tensor([max(len(title), 1) for title in titles])
    ids = torch.zeros(len(titles), int(lengths.max()), dtype=torch.long)
    for row, title in enumerate(titles):
        ids[row, : len(title)] = torch.tensor(title, dtype=torch.long)
    states = decoder(input_ids=ids.to(decoder.device), use_cache=False).last_hidden_state
    real = (torch.arange(ids.shape[1]) < lengths[:, None]).to(states.device)
    mean: torch.Tensor = (states.float() * real[..., None]).sum(1) / lengths.to(states.device)[:, None]
    return mean


def _batches(titles: Sequence[Sequence[int]], order: list[int]) -> list[list[int]]:
    """Cut an order by length, shortest first, into batches of at most BATCH_TOKENS padded tokens."""
    batches: list[list[int]] = [[]]
    for k in order:
        if batches[-1] and (len(batches[-1]) + 1) * max(len(titles[k]), 1) > BATCH_TOKENS:
            batches.append([])
        batches[-1].append(k)
    return batches
