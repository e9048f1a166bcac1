"""The terms of the distillation, each of states h [n, d] against output vectors W [N, d] and biases b [N].

    s_i         W_i . h + b_i
    ranking     bce  sum over k of w_k (-log s(s_k)) + mean over negatives of -log(1 - s(s_j))        s: logistic
                ce   sum over k of w_k (-s_k + logsumexp(s)),   w the weights of a list's K items
    dros        log( sum over j of exp(p_j s_j^2 / beta) - exp(p_y s_y^2 / beta) + exp(p_y (s_y - 1)^2 / beta) )
                p = ((popularity + 1) / sum)^power          (DROS, Yang et al., SIGIR 2023; of one or of K items y)
    distance    |projected teacher vector - student vector|^2, a mean over items
Deviations from the authors' code: its negative is -log s(1 - s_j), no log-likelihood, which lets a negative stand one
higher; its base loss is half of bce here, so their ranking weight 0.8 is 1.6 of ours; all K items are one gather, not K
loops; the sum over all other items of dros is taken once, and in logarithms, so that no score overflows it.
Shapes: n rows, K items of a list, N items."""

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from kitrec.recommenders import losses
from kitrec.recommenders.losses import Output

CHUNK = 256  # rows of scores over all items at a time
NOTHING = -1e30  # the logarithm of a summand that is not there


def scores_of(states: torch.Tensor, items: torch.Tensor, output: Output) -> torch.Tensor:
    """[n, K] scores of each state's own items [n, K], numbered from 0."""
    weight, bias = output
    found = torch.einsum("nd,nkd->nk", states, F.embedding(items, weight))
    return found if bias is None else found + bias[items]


def all_scores(states: torch.Tensor, output: Output) -> torch.Tensor:
    """[n, N]"""
    weight, bias = output
    return states @ weight.T if bias is None else torch.addmm(bias, states, weight.T)


def ranking_bce(
    states: torch.Tensor, items: torch.Tensor, weights: torch.Tensor, output: Output, negatives: torch.Tensor
) -> torch.Tensor:
    """[n]: weighted positives against each row's own negatives [n, k]."""
    liked = (weights * F.softplus(-scores_of(states, items, output))).sum(1)
    return liked + weights.sum(1) * F.softplus(scores_of(states, negatives, output)).mean(1)


def ranking_ce(states: torch.Tensor, items: torch.Tensor, weights: torch.Tensor, output: Output) -> torch.Tensor:
    """The sum over rows; rows of no weight must have been left out."""
    own = scores_of(states, items, output)
    among_all = losses.cross_entropy(states, items[:, 0], output) * len(items)
    return among_all + own[:, 0].sum() - (weights * own).sum()


def shares(popularity: torch.Tensor, power: float) -> torch.Tensor:
    """[N] p of dros, from how often each item is a target."""
    return ((popularity + 1) / (popularity + 1).sum()) ** power


def dros(states: torch.Tensor, items: torch.Tensor, output: Output, share: torch.Tensor, beta: float) -> torch.Tensor:
    """[n, K]: of each state's own items."""
    parts = [
        checkpoint(_log_mass, states[part], items[part], *output, share / beta, use_reentrant=False)
        for part in (slice(start, start + CHUNK) for start in range(0, len(states), CHUNK))
    ]
    unlisted = torch.cat(parts)[:, None, None].expand(-1, items.shape[1], 1)
    own, rate = scores_of(states, items, output), share[items] / beta
    same = items[:, :, None] == items[:, None, :]
    again = same.tril(-1).any(2)  # an item that stands in the list before
    others = (rate * own**2)[:, None, :].masked_fill(same | again[:, None, :], NOTHING)
    true = (rate * (own - 1) ** 2)[:, :, None]
    return torch.cat([others, true, unlisted], 2).logsumexp(2)  # sums only: nothing cancels where one item leads


def distance(own: torch.Tensor, projected: torch.Tensor) -> torch.Tensor:
    """Mean over items of the squared distance between [items, d] and [items, d]."""
    return ((own - projected) ** 2).sum(1).mean()


def _log_mass(
    states: torch.Tensor, items: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, rate: torch.Tensor
) -> torch.Tensor:
    """[n] of all items that are not in the row's list."""
    return (rate * all_scores(states, (weight, bias)) ** 2).scatter(1, items, NOTHING).logsumexp(1)
