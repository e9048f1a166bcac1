"""Losses of next-item prediction: states h [n, d] against output vectors W [N, d] and biases b [N]; y [n] in 0 ... N-1.

    ce          -z_y + logsumexp(z),  z = W h + b                       over all items (Klenitskiy and Vasilev 2023)
    sampled_ce  the same over y and k uniform negatives, shared by the batch; a negative that is y counts nothing
    bce         -log s(z_y) - (1/k) sum log(1 - s(z_j))                 k negatives of each target's own
                                                                        (SASRec eq. 8 with k = 1)
    gbce        -(1/(k+1)) [ b log s(z_y) + sum log(1 - s(z_j)) ]       (gSASRec, Petrov and Macdonald 2023, eqs. 13-15)
                b = a (t (1 - 1/a) + 1/a),  a = k / (N - 1),  t the calibration; t = 0: no correction, 1: full
s is the logistic function. All are means over targets.

Deviation: gbce and sampled_ce share their negatives within a batch (one matrix product instead of n gathers); the
expectation is the same."""

from typing import Any

import torch
import torch.nn.functional as F

CHUNK = 128  # rows of logits at a time: they stay near the processor

Output = tuple[torch.Tensor, torch.Tensor | None]


def full(states: torch.Tensor, wanted: torch.Tensor, output: Output) -> torch.Tensor:
    """ce: never holds more than CHUNK rows of logits; they become their own gradient in place."""
    weight, bias = output
    device = states.device.type
    type_ = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
    with torch.autocast(device, enabled=False):  # what is computed in few bits is said here
        return _CrossEntropy.apply(states.float(), wanted, weight, bias, type_) / max(len(wanted), 1)


def sampled(states: torch.Tensor, wanted: torch.Tensor, output: Output, negatives: torch.Tensor) -> torch.Tensor:
    """sampled_ce with `negatives` [k] shared by all targets."""
    positive, negative = _logits(states, wanted, output, negatives)
    negative = negative.masked_fill(negatives[None, :] == wanted[:, None], -torch.inf)
    return (torch.cat([positive, negative], dim=1).logsumexp(1) - positive[:, 0]).mean()


def gbce(
    states: torch.Tensor, wanted: torch.Tensor, output: Output, negatives: torch.Tensor, calibration: float
) -> torch.Tensor:
    """gbce with `negatives` [k] shared by all targets."""
    positive, negative = _logits(states, wanted, output, negatives)
    counted = (negatives[None, :] != wanted[:, None]).to(states.dtype)
    sampling = len(negatives) / (len(output[0]) - 1)
    power = sampling * (calibration * (1 - 1 / sampling) + 1 / sampling)
    liked = power * F.logsigmoid(positive[:, 0])
    return -(liked + (F.logsigmoid(-negative) * counted).sum(1)).mean() / (len(negatives) + 1)


def bce(states: torch.Tensor, wanted: torch.Tensor, output: Output, negatives: torch.Tensor) -> torch.Tensor:
    """bce with `negatives` [n, k], each target's own."""
    weight, bias = output
    vectors = F.embedding(torch.cat([wanted[:, None], negatives], dim=1), weight)
    logits = torch.einsum("nd,nkd->nk", states, vectors)
    if bias is not None:
        logits = logits + bias[torch.cat([wanted[:, None], negatives], dim=1)]
    return -(F.logsigmoid(logits[:, 0]) + F.logsigmoid(-logits[:, 1:]).mean(1)).mean()


def _logits(
    states: torch.Tensor, wanted: torch.Tensor, output: Output, negatives: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    weight, bias = output
    positive = (states * F.embedding(wanted, weight)).sum(1, keepdim=True)
    negative = states @ F.embedding(negatives, weight).T
    if bias is not None:
        positive, negative = positive + bias[wanted][:, None], negative + bias[negatives]
    return positive, negative


class _CrossEntropy(torch.autograd.Function):
    """The sum of ce; dL/dz = softmax(z) - onehot(y) is made while the logits are there.

    Products are taken in `type_`, sums over items in 32 bits."""

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        wanted: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        type_: torch.dtype,
    ) -> torch.Tensor:
        own, outer = torch.empty_like(states), torch.zeros_like(weight)
        shift = None if bias is None else torch.zeros_like(bias)
        vectors, total = weight.to(type_), states.new_zeros(())
        room = states.new_empty(min(CHUNK, len(states)), len(weight), dtype=type_)
        wide = room if type_ == torch.float32 else torch.empty_like(room, dtype=torch.float32)
        for start in range(0, len(wanted), CHUNK):
            part = slice(start, start + CHUNK)
            label, query = wanted[part, None], states[part].to(type_)
            logits = torch.mm(query, vectors.T, out=room[: len(label)])
            scores = logits if wide is room else wide[: len(label)].copy_(logits)
            if bias is not None:
                scores += bias
            highest, chosen = scores.amax(1, keepdim=True), scores.gather(1, label)
            slope = torch.softmax(scores, 1, out=scores)
            total += (highest - slope.amax(1, keepdim=True).log() - chosen).sum()
            slope.scatter_add_(1, label, -torch.ones_like(chosen))
            if shift is not None:
                shift += slope.sum(0)
            slope = slope if wide is room else logits.copy_(slope)
            own[part] = slope @ vectors
            outer += slope.T @ query
        ctx.save_for_backward(own, outer, shift)
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        own, outer, shift = ctx.saved_tensors
        slope = upstream[0]
        return own * slope, None, outer * slope, None if shift is None else shift * slope, None
