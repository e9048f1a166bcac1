"""Suffixes behind a common prefix that is read once, and the likelihoods of all continuations of a text (transformers).

The prefix is read causally and without a mask, its keys and values are cached; then all suffix positions run at once,
each attending to the prefix and to its own predecessors, at the position that it would have in a separate forward pass.
So every value equals that of a separate forward pass, at the cost of the prefix and a few tokens.
Continuations of a text share tokens too: their suffix positions are the nodes of a trie (trie.py). ThinkRec's prompts
of one user are scored in the same way (kitrec/thinkrec/shared_prefix.py).
Shapes: B texts, N suffix positions or nodes, h hidden width, C continuations."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from kitrec.llm.base.layers import attention_kinds, decoder_of, masks_by_kind, refuse_changed_logits
from kitrec.llm.likelihood.trie import ScoringRequest, Trie, build_trie

BATCH_TOKENS = 16_384
ROWS = 1024  # positions whose logits exist at a time


def likelihoods(model: Any, requests: Sequence[ScoringRequest]) -> list[np.ndarray]:
    """Return per request the log likelihoods of its continuations [C]; `model` has its adapter set, and no dropout."""
    refuse_changed_logits(model.config)
    scores: list[np.ndarray] = [np.empty(0)] * len(requests)
    for batch in batches([len(request.prefix) for request in requests], BATCH_TOKENS):
        for k, values in zip(batch, _score(model, [requests[k] for k in batch]), strict=True):
            scores[k] = values
    return scores


def states_behind_prefix(
    decoder: Any,
    suffixes: Mapping[str, torch.Tensor],
    depth: torch.Tensor,
    visible: torch.Tensor,
    prefix_lengths: Sequence[int],
    cache: DynamicCache,
) -> torch.Tensor:
    """Return the hidden states [B, N, h] of suffix positions behind the prefixes in `cache`, padded on the right.

    `suffixes` holds the decoder's input_ids [B, N] or inputs_embeds [B, N, h]; `depth` [B, N] counts positions from the
    end of the prefix, and `visible` [B, N, N] says which suffix positions a position attends to."""
    start = torch.tensor(prefix_lengths, device=depth.device)[:, None]
    in_prefix = torch.arange(cache.get_seq_length(), device=depth.device) < start
    attends = torch.cat([in_prefix[:, None].expand(-1, depth.shape[1], -1), visible], dim=2)
    position = start + depth
    of_prefix = torch.arange(in_prefix.shape[1], device=depth.device).expand(len(depth), -1)
    distance = position[:, :, None] - torch.cat([of_prefix, position], dim=1)[:, None]
    mask = masks_by_kind(decoder.config, attends, distance)
    hidden: torch.Tensor = decoder(
        **suffixes, position_ids=position, attention_mask=mask, past_key_values=cache, use_cache=True
    ).last_hidden_state
    return hidden


def whole_cache(config: Any) -> DynamicCache:
    """Return a cache that keeps all positions, where a layer's window is narrower too: the masks know the window."""
    attention_kinds(config)
    return DynamicCache()


def batches(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Group texts of similar length, longest first; a group has at most `max_tokens` padded tokens, or is one text."""
    groups: list[list[int]] = []
    for k in sorted(range(len(lengths)), key=lambda k: lengths[k], reverse=True):
        if not groups or (len(groups[-1]) + 1) * lengths[groups[-1][0]] > max_tokens:
            groups.append([])
        groups[-1].append(k)
    return groups


@torch.inference_mode()
def _score(model: Any, requests: Sequence[ScoringRequest]) -> list[np.ndarray]:
    lengths = [len(request.prefix) for request in requests]
    tries = [build_trie(request.continuations) for request in requests]
    cache = whole_cache(model.config)
    prefixes = _padded([np.asarray(request.prefix) for request in requests], model.device)
    hidden = decoder_of(model)(input_ids=prefixes, past_key_values=cache, use_cache=True).last_hidden_state
    last = hidden[torch.arange(len(requests)), torch.tensor(lengths) - 1]
    width = max(len(t.tokens) for t in tries)
    nodes = _nodes(model, tries, lengths, cache) if width else last.new_zeros(len(requests), 0, 1)
    scores = []
    for row, t in enumerate(tries):
        states = torch.cat([last[row : row + 1], nodes[row, : len(t.tokens)]]) if len(t.tokens) else last[row : row + 1]
        scores.append(_summed(model, states, t))
    return scores


def _nodes(model: Any, tries: list[Trie], lengths: list[int], cache: DynamicCache) -> torch.Tensor:
    """Return the hidden states of all nodes [B, N, h]."""
    device = model.device
    tokens = _padded([t.tokens for t in tries], device)
    depth = _padded([t.depth for t in tries], device)
    visible = torch.zeros(*tokens.shape, tokens.shape[1], dtype=torch.bool, device=device)
    for row, t in enumerate(tries):
        visible[row, : len(t.tokens), : len(t.tokens)] = torch.from_numpy(t.attention_mask()).to(device)
    return states_behind_prefix(decoder_of(model), {"input_ids": tokens}, depth, visible, lengths, cache)


def _summed(model: Any, states: torch.Tensor, t: Trie) -> np.ndarray:
    """Return the log likelihoods of the continuations [C] from the states of root and nodes [1 + N, h]."""
    used = t.at >= -1
    rows, tokens = t.at[used] + 1, t.token[used]
    values = np.zeros(t.at.shape)
    steps = np.empty(len(rows))
    for start in range(0, len(states), ROWS):
        logits = model.get_output_embeddings()(states[start : start + ROWS]).float()
        chunk = (rows >= start) & (rows < start + ROWS)
        row = torch.from_numpy(rows[chunk] - start).to(logits.device)
        token = torch.from_numpy(tokens[chunk]).to(logits.device)
        steps[chunk] = (logits[row, token] - logits.logsumexp(-1)[row]).double().cpu().numpy()
    values[used] = steps
    return values.sum(axis=1)


def _padded(rows: Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    """Pad rows on the right, where no position attends."""
    padded = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for k, row in enumerate(rows):
        padded[k, : len(row)] = row
    return torch.from_numpy(padded).to(device)
