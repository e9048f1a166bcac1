"""Users and items as vectors of the same language model, compared by their cosine.

    e_i     = LayerNorm(mean over the tokens of title i of the hidden states behind the last of `layers` - c)
    u       = normalise(Σ_k softmax_k(q_d · e_k) U_d e_k)      k: history, d: whether k is of a target domain
    v_i     = normalise(V e_i)
    s(u, i) = exp(t) u · v_i
Two towers over one text encoder as in dense retrieval (Karpukhin et al., EMNLP 2020); the user's side pools titles that
are encoded apart, so that each title is read once and stored (UniSRec, Hou et al., KDD 2022, does so with a frozen
BERT). c, the mean title of the base, removes what all titles share: hidden states of LLMs point into a narrow cone.
The first third of a base knows a title better than the last layer, which knows the next token (docs/log.md, l95).

They learn by the item that a user took next against items of its domain (InfoNCE, arXiv 1807.03748):
    L = - mean_b log softmax_j (s(u_b, j) + log q_j) at j = i_b,   j: items of i_b's domain whose titles are read
q_j is the share of item j among all that users take. Of the items read, user u takes i_b with p(i_b | u), so the loss
is least at
    s(u, i) = log p(i | u) - log q_i + a constant of u
what speaks for this user rather than for everybody. Popularity is left to a prior (calibration.py). Items of another
target domain are no negatives: candidates are of one domain, and telling domains apart is easy and of no use.
Reading a title costs a thousand times what comparing it does. So an update reads all titles of some users, and learns
from everybody who took some of these items, as far as their histories hold them (samples.py).
Shapes: n titles, B users, J items, L items of a history, h hidden width of the base, d width of the towers."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from kitrec.llm.base.layers import decoder_of
from kitrec.llm.likelihood.shared_prefix import batches

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

    def users(
        self, titles: torch.Tensor, is_target: torch.Tensor, places: torch.Tensor, shown: torch.Tensor
    ) -> torch.Tensor:
        """Return u [B, d] of title vectors [n, h] and their domains [n], at the `places` [B, L] that are `shown`.

        A title is projected once, however many users took it."""
        entries = self._entries(titles)
        source, target = (tower(entries) for tower in self.history)
        values = torch.where(is_target[:, None], target, source)
        logits = (entries * self.queries[is_target.long()]).sum(-1)
        attention = logits[places].masked_fill(~shown, -torch.inf).softmax(-1)
        return F.normalize((attention[..., None] * values[places]).sum(1), dim=-1)

    @property
    def scale(self) -> torch.Tensor:
        """exp(t), bounded."""
        return self.log_scale.exp().clamp(max=LARGEST_SCALE)

    def _entries(self, titles: torch.Tensor) -> torch.Tensor:
        entries: torch.Tensor = self.dropout(self.norm(titles - self.centre))
        return entries


def contrastive_loss(
    scores: torch.Tensor, taken: torch.Tensor, domains: torch.Tensor, shares: torch.Tensor
) -> torch.Tensor:
    """Return L of s [B, J], the column of the item that each user took [B], and domains and q of the items [J]."""
    other_domain = domains != domains[taken, None]
    return F.cross_entropy((scores + shares.log()).masked_fill(other_domain, -torch.inf), taken)


def title_vectors(llm: Any, titles: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return the mean hidden state of each title [n, h] in float32, read in batches of similar length."""
    decoder = decoder_of(llm)
    groups = batches([max(len(title), 1) for title in titles], BATCH_TOKENS)
    parts = [_mean_states(decoder, [titles[k] for k in group]) for group in groups]
    back = torch.tensor([k for group in groups for k in group], device=parts[0].device).argsort()
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
