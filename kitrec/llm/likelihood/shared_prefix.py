"""Likelihoods of all continuations of a text by one forward over the text and one over their tree (transformers).

The text is read once, causally and without a mask, its keys and values kept; the nodes of the tree (trie.py) attend to
the text and to their own ancestors, at the positions they would have alone. So every value is the one of a forward of
its own, at the cost of the text and a few tokens. Shapes: B texts, T positions, N nodes, V words."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from kitrec.core.errors import InputError
from kitrec.llm.generation.requests import Question
from kitrec.llm.likelihood.trie import Trie, trie

BATCH_TOKENS = 16_384
ROWS = 1024  # positions whose logits are there at once
_BEHIND_THE_HEAD = ("final_logit_softcapping", "logits_scaling", "logit_scale")  # Gemma 2, Granite, Cohere


def likelihoods(model: Any, questions: Sequence[Question]) -> list[np.ndarray]:
    """For each question the log likelihood of its continuations [C]; `model` has its adapter set, and no dropout."""
    refuse_changed_logits(model.config)
    found: list[np.ndarray] = [np.empty(0)] * len(questions)
    for batch in _batches(questions):
        for k, values in zip(batch, _scored(model, [questions[k] for k in batch]), strict=True):
            found[k] = values
    return found


def refuse_changed_logits(config: Any) -> None:
    """Some families scale or cap what their head says, and here the head alone is asked."""
    changed = [name for name in _BEHIND_THE_HEAD if getattr(config, name, None) not in (None, 1, 1.0)]
    if changed:
        raise InputError(
            f"{config.model_type} changes its logits behind the head ({', '.join(changed)}), so likelihoods would be "
            "wrong: take a base whose head has the last word, such as Qwen3 or Llama"
        )


def _batches(questions: Sequence[Question]) -> Iterator[list[int]]:
    """Questions of like length, as many as BATCH_TOKENS allow."""
    batch: list[int] = []
    for k in sorted(range(len(questions)), key=lambda k: len(questions[k].text), reverse=True):
        if batch and (len(batch) + 1) * len(questions[batch[0]].text) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(k)
    if batch:
        yield batch


@torch.inference_mode()
def _scored(model: Any, questions: Sequence[Question]) -> list[np.ndarray]:
    lengths = [len(q.text) for q in questions]
    tries = [trie(q.continuations) for q in questions]
    cache = DynamicCache(config=model.config)
    text = _filled([np.asarray(q.text) for q in questions], model.device)
    hidden = _decoder(model)(input_ids=text, past_key_values=cache, use_cache=True).last_hidden_state
    last = hidden[torch.arange(len(questions)), torch.tensor(lengths) - 1]
    width = max(len(t.tokens) for t in tries)
    nodes = _nodes(model, tries, lengths, text.shape[1], cache) if width else last.new_zeros(len(questions), 0, 1)
    found = []
    for row, t in enumerate(tries):
        states = torch.cat([last[row : row + 1], nodes[row, : len(t.tokens)]]) if len(t.tokens) else last[row : row + 1]
        found.append(_summed(model, states, t))
    return found


def _nodes(model: Any, tries: list[Trie], lengths: list[int], longest: int, cache: DynamicCache) -> torch.Tensor:
    """Hidden states of all nodes [B, N, width]."""
    device = model.device
    tokens = _filled([t.tokens for t in tries], device)
    depth = _filled([t.depth for t in tries], device)
    start = torch.tensor(lengths, device=device)[:, None]
    seen = torch.zeros(len(tries), tokens.shape[1], longest + tokens.shape[1], dtype=torch.bool, device=device)
    seen[:, :, :longest] = (torch.arange(longest, device=device) < start)[:, None]
    for row, t in enumerate(tries):
        own = torch.from_numpy(t.sees()).to(device)
        seen[row, : len(t.tokens), longest : longest + len(t.tokens)] = own
    out = _decoder(model)(
        input_ids=tokens,
        position_ids=start + depth,
        attention_mask=seen[:, None],
        past_key_values=cache,
        use_cache=True,
    )
    return out.last_hidden_state


def _summed(model: Any, states: torch.Tensor, t: Trie) -> np.ndarray:
    """Log likelihoods of the continuations [C] from the states of root and nodes [1 + N, width]."""
    used = t.at >= -1
    rows, words = t.at[used] + 1, t.token[used]
    values = np.zeros(t.at.shape)
    steps = np.empty(len(rows))
    for start in range(0, len(states), ROWS):
        logits = model.get_output_embeddings()(states[start : start + ROWS]).float()
        mine = (rows >= start) & (rows < start + ROWS)
        chosen = torch.from_numpy(rows[mine] - start).to(logits.device), torch.from_numpy(words[mine]).to(logits.device)
        steps[mine] = (logits[chosen] - logits.logsumexp(-1)[chosen[0]]).double().cpu().numpy()
    values[used] = steps
    return values.sum(axis=1)


def _decoder(model: Any) -> Any:
    """The transformer without its head, adapters in place."""
    return (model.get_base_model() if hasattr(model, "get_base_model") else model).get_decoder()


def _filled(rows: Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    """Rows filled up on the right, where nothing looks."""
    filled = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for k, row in enumerate(rows):
        filled[k, : len(row)] = row
    return torch.from_numpy(filled).to(device)
