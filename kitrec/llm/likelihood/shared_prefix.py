"""Likelihoods of all continuations of a text by one forward over the text and one over their trie (transformers).

The text is read once, causally and without a mask, its keys and values kept; the nodes of the trie (trie.py) attend to
the text and to their own ancestors, at the positions of a separate forward. So every value equals that of a separate
forward, at the cost of the text and a few tokens. Shapes: B texts, T positions, N nodes, V words."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from kitrec.core.errors import InputError
from kitrec.llm.generation.requests import ScoringRequest
from kitrec.llm.likelihood.trie import Trie, build_trie

BATCH_TOKENS = 16_384
ROWS = 1024  # positions whose logits exist at a time
_BEHIND_THE_HEAD = ("final_logit_softcapping", "logits_scaling", "logit_scale")  # Gemma 2, Granite, Cohere


def likelihoods(model: Any, requests: Sequence[ScoringRequest]) -> list[np.ndarray]:
    """Return per request the log likelihoods of its continuations [C]; `model` has its adapter set, and no dropout."""
    refuse_changed_logits(model.config)
    scores: list[np.ndarray] = [np.empty(0)] * len(requests)
    for batch in _batches(requests):
        for k, values in zip(batch, _score(model, [requests[k] for k in batch]), strict=True):
            scores[k] = values
    return scores


def refuse_changed_logits(config: Any) -> None:
    """Refuse families that scale or cap the logits of their head: here the head alone is evaluated."""
    changed = [name for name in _BEHIND_THE_HEAD if getattr(config, name, None) not in (None, 1, 1.0)]
    if changed:
        raise InputError(
            f"{config.model_type} changes its logits behind the head ({', '.join(changed)}), so likelihoods would be "
            "wrong: take a base that uses the logits of its head unchanged, such as Qwen3 or Llama"
        )


def _batches(requests: Sequence[ScoringRequest]) -> Iterator[list[int]]:
    """Yield batches of requests of similar length, as many as BATCH_TOKENS allow."""
    batch: list[int] = []
    for k in sorted(range(len(requests)), key=lambda k: len(requests[k].prefix), reverse=True):
        if batch and (len(batch) + 1) * len(requests[batch[0]].prefix) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(k)
    if batch:
        yield batch


@torch.inference_mode()
def _score(model: Any, requests: Sequence[ScoringRequest]) -> list[np.ndarray]:
    lengths = [len(request.prefix) for request in requests]
    tries = [build_trie(request.continuations) for request in requests]
    cache = DynamicCache(config=model.config)
    prefixes = _padded([np.asarray(request.prefix) for request in requests], model.device)
    hidden = _decoder(model)(input_ids=prefixes, past_key_values=cache, use_cache=True).last_hidden_state
    last = hidden[torch.arange(len(requests)), torch.tensor(lengths) - 1]
    width = max(len(t.tokens) for t in tries)
    nodes = _nodes(model, tries, lengths, prefixes.shape[1], cache) if width else last.new_zeros(len(requests), 0, 1)
    scores = []
    for row, t in enumerate(tries):
        states = torch.cat([last[row : row + 1], nodes[row, : len(t.tokens)]]) if len(t.tokens) else last[row : row + 1]
        scores.append(_summed(model, states, t))
    return scores


def _nodes(model: Any, tries: list[Trie], lengths: list[int], longest: int, cache: DynamicCache) -> torch.Tensor:
    """Return the hidden states of all nodes [B, N, width]."""
    device = model.device
    tokens = _padded([t.tokens for t in tries], device)
    depth = _padded([t.depth for t in tries], device)
    start = torch.tensor(lengths, device=device)[:, None]
    mask = torch.zeros(len(tries), tokens.shape[1], longest + tokens.shape[1], dtype=torch.bool, device=device)
    mask[:, :, :longest] = (torch.arange(longest, device=device) < start)[:, None]
    for row, t in enumerate(tries):
        ancestors = torch.from_numpy(t.attention_mask()).to(device)
        mask[row, : len(t.tokens), longest : longest + len(t.tokens)] = ancestors
    out = _decoder(model)(
        input_ids=tokens,
        position_ids=start + depth,
        attention_mask=mask[:, None],
        past_key_values=cache,
        use_cache=True,
    )
    return out.last_hidden_state


def _summed(model: Any, states: torch.Tensor, t: Trie) -> np.ndarray:
    """Return the log likelihoods of the continuations [C] from the states of root and nodes [1 + N, width]."""
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


def _decoder(model: Any) -> Any:
    """Return the transformer without its head, adapters in place."""
    return (model.get_base_model() if hasattr(model, "get_base_model") else model).get_decoder()


def _padded(rows: Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    """Pad rows on the right, where no position attends."""
    padded = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for k, row in enumerate(rows):
        padded[k, : len(row)] = row
    return torch.from_numpy(padded).to(device)
