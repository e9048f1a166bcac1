"""Losses and weights of distillation (DLLM2Rec), of states h [n, d], output vectors W [N, d] and biases b [N].

    s_i         W_i . h + b_i
    ranking     bce  sum over k of w_k (-log s(s_k)) + mean over negatives of -log(1 - s(s_j))        s: logistic
                ce   sum over k of w_k (-s_k + logsumexp(s)),   w the weights of a list's K items
    dros        log( sum over j of exp(p_j s_j^2 / beta) - exp(p_y s_y^2 / beta) + exp(p_y (s_y - 1)^2 / beta) )
                p = ((popularity + 1) / sum)^power          (DROS, Yang et al., SIGIR 2023; of one or of K items y)
    distance    |projected teacher vector - student vector|^2, a mean over items

Importance of each item of a teacher's list (section 4.1), the w_k above:
    position      exp(-rank / decay), rank = 1 ... K                     normalised over the row's items
    confidence    exp(-distance)                                         normalised over the row's items
    consistency   1 if the item is also among the student's own first K, else 0
    weight        gamma_p position + gamma_c confidence + gamma_o consistency, normalised over the row's items
An empty rank has weight 0. So has a whole row if consistency alone counts and the student lists none of its items.

Deviations from the authors' code: its negative is -log s(1 - s_j), no log-likelihood, which lets a negative stand one
higher; its base loss is half of bce here, so their ranking weight 0.8 is 1.6 of ours; all K items are one gather, not K
loops; the sum over all other items of dros is taken once, and in logarithms, so that no score overflows it; it adds
1e-8 to confidence and consistency, where our softmax needs no such floor however large the distances are.
Shapes: n rows, K items of a list, N items."""

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from kitrec.distillation.params import Importance
from kitrec.recommenders import losses
from kitrec.recommenders.losses import Output

CHUNK = 256  # rows of scores over all items at a time
LOG_ZERO = -1e30  # logarithm of an absent summand


def importance_weights(distances: torch.Tensor, consistent: torch.Tensor, p: Importance) -> torch.Tensor:
    """Return [n, K] weights from distances (infinite: an empty rank) and consistency; a row sums to 1, or to 0."""
    present = distances.isfinite()
    ranks = torch.arange(1, distances.shape[1] + 1, device=distances.device)
    position = _masked_softmax((-ranks / p.decay).expand_as(distances), present)
    confidence = _masked_softmax(-distances, present)
    weight = p.position * position + p.confidence * confidence + p.consistency * (consistent & present)
    return weight / weight.sum(1, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)


def item_scores(states: torch.Tensor, items: torch.Tensor, output: Output) -> torch.Tensor:
    """Return [n, K] scores of each state's own items [n, K], numbered from 0."""
    weight, bias = output
    scores = torch.einsum("nd,nkd->nk", states, F.embedding(items, weight))
    return scores if bias is None else scores + bias[items]


def all_scores(states: torch.Tensor, output: Output) -> torch.Tensor:
    """Return the scores of all items, [n, N]."""
    weight, bias = output
    return states @ weight.T if bias is None else torch.addmm(bias, states, weight.T)


def ranking_bce(
    states: torch.Tensor, items: torch.Tensor, weights: torch.Tensor, output: Output, negatives: torch.Tensor
) -> torch.Tensor:
    """Return the loss [n] of weighted positives against each row's own negatives [n, k]."""
    positive = (weights * F.softplus(-item_scores(states, items, output))).sum(1)
    return positive + weights.sum(1) * F.softplus(item_scores(states, negatives, output)).mean(1)


def ranking_ce(states: torch.Tensor, items: torch.Tensor, weights: torch.Tensor, output: Output) -> torch.Tensor:
    """Return the loss summed over rows; every row must have a positive weight."""
    scores = item_scores(states, items, output)
    cross_entropy = losses.cross_entropy(states, items[:, 0], output) * len(items)
    return cross_entropy + scores[:, 0].sum() - (weights * scores).sum()


def popularity_weights(popularity: torch.Tensor, power: float) -> torch.Tensor:
    """Return p of dros, [N], from the number of times each item is a target."""
    return ((popularity + 1) / (popularity + 1).sum()) ** power


def dros(
    states: torch.Tensor, items: torch.Tensor, output: Output, item_weights: torch.Tensor, beta: float
) -> torch.Tensor:
    """Return the loss [n, K] of each state's own items; `item_weights` [N] is p."""
    parts = [
        checkpoint(_log_mass, states[part], items[part], *output, item_weights / beta, use_reentrant=False)
        for part in (slice(start, start + CHUNK) for start in range(0, len(states), CHUNK))
    ]
    unlisted = torch.cat(parts)[:, None, None].expand(-1, items.shape[1], 1)
    scores, rate = item_scores(states, items, output), item_weights[items] / beta
    same = items[:, :, None] == items[:, None, :]
    repeated = same.tril(-1).any(2)  # an item that is earlier in the list as well
    others = (rate * scores**2)[:, None, :].masked_fill(same | repeated[:, None, :], LOG_ZERO)
    positive = (rate * (scores - 1) ** 2)[:, :, None]
    return torch.cat([others, positive, unlisted], 2).logsumexp(2)  # sums only: no cancellation if one item dominates


def distance(student: torch.Tensor, projected: torch.Tensor) -> torch.Tensor:
    """Return the mean over items of the squared distance between [items, d] and [items, d]."""
    return ((student - projected) ** 2).sum(1).mean()


def _log_mass(
    states: torch.Tensor, items: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, rate: torch.Tensor
) -> torch.Tensor:
    """Return the log mass [n] of all items that are not in the row's list."""
    return (rate * all_scores(states, (weight, bias)) ** 2).scatter(1, items, LOG_ZERO).logsumexp(1)


def _masked_softmax(logits: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """Return a softmax over the present entries; zeros in a row without any."""
    return logits.masked_fill(~present, -torch.inf).softmax(1).nan_to_num(0.0)
