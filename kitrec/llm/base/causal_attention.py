"""Causal attention on a processor, block by block of queries, so that keys behind a block are never multiplied.

    O_i = softmax(Q_i K_<=i^T / sqrt(d)) V_<=i            for the queries i of a block
    P_i = the softmax, computed again for the backward pass: nothing of size L x L is kept
    dV += P_i^T dO_i,   dS_i = P_i * (dO_i V^T - rowsum(P_i * dO_i V^T)),   dQ_i = dS_i K / sqrt(d),   dK += dS_i^T Q_i
(Dao, FlashAttention-2, arXiv 2307.08691, section 2.) torch's own kernel for processors takes about twice the time, most
of it in the backward pass. What is not plainly causal goes to torch: masks, caches, dropout, sinks, soft caps.
Shapes: N batch entries times heads, L positions, d width of a head."""

from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "kitrec_causal"
BLOCK = 128
_OTHER_KINDS = ("softcap", "s_aux", "position_bias", "cache")


def use_causal_blocks(model: Any) -> None:
    """Let a transformers model attend by blocks; on a GPU torch's kernel stays."""
    if model.device.type == "cpu" and model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(NAME)


def causal_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float) -> torch.Tensor:
    """Return the attention [batch, L, heads, d] of queries, keys and values [batch, heads, L, d]."""
    attended: torch.Tensor = _CausalBlocks.apply(query, key, value, scaling)
    return attended


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attend as transformers calls it; without a mask a layer is causal (its window covers the text, if it has one)."""
    plain = attention_mask is None and dropout == 0.0 and 1 < query.shape[2] == key.shape[2]
    causal = kwargs.get("is_causal") is not False and getattr(module, "is_causal", True)
    if not plain or not causal or any(kwargs.get(kind) is not None for kind in _OTHER_KINDS):
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **kwargs)
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    return causal_attention(query, key, value, scaling or query.shape[-1] ** -0.5), None


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, sdpa_mask)


class _CausalBlocks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float) -> torch.Tensor:
        batch, heads, length, width = query.shape
        q, k, v = ((query * scaling).reshape(-1, length, width), *(t.reshape(-1, length, width) for t in (key, value)))
        attended = query.new_empty(batch, length, heads, width)
        by_head = attended.transpose(1, 2)
        for block, end in _blocks(length):
            weights = _softmax(q[:, block], k[:, :end], block)
            by_head[:, :, block] = torch.bmm(weights, v[:, :end]).view(batch, heads, -1, width)
        ctx.save_for_backward(q, k, v)
        ctx.scaling, ctx.shape = scaling, query.shape
        return attended

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None]:
        q, k, v = ctx.saved_tensors
        above = upstream[0].transpose(1, 2).reshape(q.shape)
        of_q, of_k, of_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for block, end in _blocks(q.shape[1]):
            weights = _softmax(q[:, block], k[:, :end], block)
            of_v[:, :end].baddbmm_(weights.transpose(1, 2), above[:, block])
            of_weights = torch.bmm(above[:, block], v[:, :end].transpose(1, 2))
            of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype)
            of_q[:, block] = torch.bmm(of_scores, k[:, :end])
            of_k[:, :end].baddbmm_(of_scores.transpose(1, 2), q[:, block])
        return (of_q * ctx.scaling).view(ctx.shape), of_k.view(ctx.shape), of_v.view(ctx.shape), None


def _blocks(length: int) -> list[tuple[slice, int]]:
    """Return the blocks of queries, each with the end of the keys that its last query sees."""
    ends = [min(start + BLOCK, length) for start in range(0, length, BLOCK)]
    return [(slice(k * BLOCK, end), end) for k, end in enumerate(ends)]


def _softmax(queries: torch.Tensor, keys: torch.Tensor, block: slice) -> torch.Tensor:
    """Return the attention weights [N, block, end]; within the block a query sees no key behind it."""
    scores = torch.bmm(queries, keys.transpose(1, 2))
    size = queries.shape[1]
    behind = torch.ones(size, size, dtype=torch.bool, device=scores.device).triu(1)
    scores[:, :, block].masked_fill_(behind, float("-inf"))
    return scores.softmax(-1)
