"""Losses of next-item prediction: states h [n, d] against output vectors W [N, d] and biases b [N]; y [n] in 0 ... N-1.

    ce          -z_y + logsumexp(z),  z = W h + b                       over all items (Klenitskiy and Vasilev 2023)
    sampled_ce  the same over y and k uniform negatives, shared by the batch; a negative equal to y is left out
    bce         -log s(z_y) - (1/k) sum log(1 - s(z_j))                 k negatives per target
                                                                        (SASRec eq. 8 with k = 1)
    gbce        -(1/(k+1)) [ b log s(z_y) + sum log(1 - s(z_j)) ]       (gSASRec, Petrov and Macdonald 2023, eqs. 13-15)
                b = a (t (1 - 1/a) + 1/a),  a = k / (N - 1),  t the calibration; t = 0: no correction, 1: full
s is the logistic function. All are means over targets.

Deviation: gbce and sampled_ce share their negatives within a batch (one matrix product instead of n gathers); the
expectation is the same."""

from typing import Any

import torch
import torch.nn.functional as F

CHUNK = 128  # rows of logits at a time, so that they stay in the cache

Output = tuple[torch.Tensor, torch.Tensor | None]


def cross_entropy(states: torch.Tensor, targets: torch.Tensor, output: Output) -> torch.Tensor:
    """ce: holds at most CHUNK rows of logits, whose memory is reused for their gradient."""
    weight, bias = output
    device = states.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
    with torch.autocast(device, enabled=False):  # dtype says which products run in low precision
        return _CrossEntropy.apply(states.float(), targets, weight, bias, dtype) / max(len(targets), 1)


def sampled_cross_entropy(
    states: torch.Tensor, targets: torch.Tensor, output: Output, negatives: torch.Tensor
) -> torch.Tensor:
    """sampled_ce with `negatives` [k] shared by all targets."""
    positive, negative = _logits(states, targets, output, negatives)
    negative = negative.masked_fill(negatives[None, :] == targets[:, None], -torch.inf)
    return (torch.cat([positive, negative], dim=1).logsumexp(1) - positive[:, 0]).mean()


def gbce(
    states: torch.Tensor, targets: torch.Tensor, output: Output, negatives: torch.Tensor, calibration: float
) -> torch.Tensor:
    """gbce with `negatives` [k] shared by all targets."""
    positive, negative = _logits(states, targets, output, negatives)
    counted = (negatives[None, :] != targets[:, None]).to(states.dtype)
    sampling = len(negatives) / (len(output[0]) - 1)
    power = sampling * (calibration * (1 - 1 / sampling) + 1 / sampling)
    positive_term = power * F.logsigmoid(positive[:, 0])
    return -(positive_term + (F.logsigmoid(-negative) * counted).sum(1)).mean() / (len(negatives) + 1)


def bce(states: torch.Tensor, targets: torch.Tensor, output: Output, negatives: torch.Tensor) -> torch.Tensor:
    """bce with `negatives` [n, k], sampled per target."""
    weight, bias = output
    vectors = F.embedding(torch.cat([targets[:, None], negatives], dim=1), weight)
    logits = torch.einsum("nd,nkd->nk", states, vectors)
    if bias is not None:
        logits = logits + bias[torch.cat([targets[:, None], negatives], dim=1)]
    return -(F.logsigmoid(logits[:, 0]) + F.logsigmoid(-logits[:, 1:]).mean(1)).mean()


def _logits(
    states: torch.Tensor, targets: torch.Tensor, output: Output, negatives: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    weight, bias = output
    positive = (states * F.embedding(targets, weight)).sum(1, keepdim=True)
    negative = states @ F.embedding(negatives, weight).T
    if bias is not None:
        positive, negative = positive + bias[targets][:, None], negative + bias[negatives]
    return positive, negative


class _CrossEntropy(torch.autograd.Function):
    """The sum of ce; dL/dz = softmax(z) - onehot(y) is computed while the logits are held.

    Products are computed in `dtype`, sums over items in 32 bits."""

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        targets: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        dtype: torch.dtype,
    ) -> torch.Tensor:
        state_grad, weight_grad = torch.empty_like(states), torch.zeros_like(weight)
        bias_grad = None if bias is None else torch.zeros_like(bias)
        vectors, total = weight.to(dtype), states.new_zeros(())
        buffer = states.new_empty(min(CHUNK, len(states)), len(weight), dtype=dtype)
        buffer_f32 = buffer if dtype == torch.float32 else torch.empty_like(buffer, dtype=torch.float32)
        for start in range(0, len(targets), CHUNK):
            part = slice(start, start + CHUNK)
            label, query = targets[part, None], states[part].to(dtype)
            logits = torch.mm(query, vectors.T, out=buffer[: len(label)])
            scores = logits if buffer_f32 is buffer else buffer_f32[: len(label)].copy_(logits)
            if bias is not None:
                scores += bias
            highest, chosen = scores.amax(1, keepdim=True), scores.gather(1, label)
            grad = torch.softmax(scores, 1, out=scores)
            total += (highest - grad.amax(1, keepdim=True).log() - chosen).sum()
            grad.scatter_add_(1, label, -torch.ones_like(chosen))
            if bias_grad is not None:
                bias_grad += grad.sum(0)
            grad = grad if buffer_f32 is buffer else logits.copy_(grad)
            state_grad[part] = grad @ vectors
            weight_grad += grad.T @ query
        ctx.save_for_backward(state_grad, weight_grad, bias_grad)
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        state_grad, weight_grad, bias_grad = ctx.saved_tensors
        scale = upstream[0]
        return state_grad * scale, None, weight_grad * scale, None if bias_grad is None else bias_grad * scale, None
