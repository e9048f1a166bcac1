"""Continuations as prompts of an engine that caches prefixes: one prompt per node of their trie (trie.py).

A node's prompt is the text with the node's path; the engine then predicts one token and tells the log probabilities of
the node's children alone. So no logits of a whole prompt exist at any time, and what prompts share is read once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kitrec.llm.likelihood.trie import ScoringRequest, Trie, build_trie

CHILDREN = 128  # tokens whose log probabilities vLLM tells at a time
PROMPT_TOKENS = 20_000_000  # of all prompts of a group: they are lists in memory


@dataclass(frozen=True)
class NodePrompt:
    """A prompt, the tokens that may follow it, and its place: which request, which node."""

    ids: list[int]
    children: list[int]
    adapter: str | None
    request: int
    node: int


def node_prompts(number: int, request: ScoringRequest, trie: Trie) -> Iterator[NodePrompt]:
    """Yield the prompts of one request: the root's first, which reads the text for all others."""
    paths: dict[int, list[int]] = {-1: []}
    for node, (token, parent) in enumerate(zip(trie.tokens.tolist(), trie.parent.tolist(), strict=True)):
        paths[node] = [*paths[parent], token]
    for node, path in paths.items():
        children = np.unique(trie.token[trie.at == node]).tolist()
        for start in range(0, len(children), CHILDREN):
            some = children[start : start + CHILDREN]
            yield NodePrompt(request.prefix + path, some, request.adapter, number, node)


def node_likelihoods(
    requests: Sequence[ScoringRequest], ask: Callable[[list[NodePrompt]], list[dict[int, float]]]
) -> list[np.ndarray]:
    """Return the log likelihoods [C] of every request; `ask` returns those of each prompt's children."""
    tries = [build_trie(request.continuations) for request in requests]
    prompts = [prompt for k, request in enumerate(requests) for prompt in node_prompts(k, request, tries[k])]
    log_probs = {
        (prompt.request, prompt.node, token): value
        for prompt, values in zip(prompts, ask(prompts), strict=True)
        for token, value in values.items()
    }
    return [_summed(k, t, log_probs) for k, t in enumerate(tries)]


def groups_that_fit(requests: Sequence[ScoringRequest], cache_tokens: int) -> Iterator[list[int]]:
    """Yield requests whose texts stay cached while their continuations are scored, by adapter."""
    group: list[int] = []
    texts = prompts = 0
    for k in sorted(range(len(requests)), key=lambda k: requests[k].adapter or ""):
        text = len(requests[k].prefix)
        prompt_tokens = text * (1 + sum(map(len, requests[k].continuations)))
        if group and (texts + text > cache_tokens or prompts + prompt_tokens > PROMPT_TOKENS):
            yield group
            group, texts, prompts = [], 0, 0
        group.append(k)
        texts, prompts = texts + text, prompts + prompt_tokens
    if group:
        yield group


def _summed(number: int, t: Trie, log_probs: dict[tuple[int, int, int], float]) -> np.ndarray:
    rows = [
        sum(log_probs[number, int(node), int(token)] for node, token in zip(at, tokens, strict=True) if node >= -1)
        for at, tokens in zip(t.at, t.token, strict=True)
    ]
    return np.array(rows)
