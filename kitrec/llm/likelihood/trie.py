"""Continuations of one text as a trie: what they share is computed once.

    log p(c) = Σ_j log p(c_j | text, c_<j)
Nodes are the prefixes that some continuation extends; the last position of the text is the root, -1. The last token of
a continuation is predicted, never computed. Shapes: N nodes, C continuations, J steps of the longest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ScoringRequest:
    """A prefix, the continuations to be scored after it, and the adapter that scores them (None: the base)."""

    prefix: list[int]
    continuations: list[list[int]]
    adapter: str | None


@dataclass(frozen=True)
class Trie:
    """`tokens`, `parent`, `depth` [N], parents first; `at`, `token` [C, J]: which node predicts what (-2: none)."""

    tokens: np.ndarray
    parent: np.ndarray
    depth: np.ndarray
    at: np.ndarray
    token: np.ndarray

    def attention_mask(self) -> np.ndarray:
        """Return [N, N]: whether a node attends to another, namely to itself and its ancestors."""
        mask = np.eye(len(self.tokens), dtype=bool)
        for node, parent in enumerate(self.parent):
            if parent >= 0:
                mask[node] |= mask[parent]
        return mask


def build_trie(continuations: Sequence[Sequence[int]]) -> Trie:
    """Return the trie of some continuations, none of them empty."""
    nodes: dict[tuple[int, ...], int] = {(): -1}
    parent: list[int] = []
    longest = max(map(len, continuations))
    at = np.full((len(continuations), longest), -2)
    token = np.zeros((len(continuations), longest), dtype=np.int64)
    for row, continuation in enumerate(continuations):
        for step, next_token in enumerate(continuation):
            prefix = tuple(continuation[:step])
            if prefix not in nodes:
                nodes[prefix] = len(parent)
                parent.append(nodes[prefix[:-1]])
            at[row, step], token[row, step] = nodes[prefix], next_token
    prefixes = list(nodes)[1:]
    tokens = np.array([prefix[-1] for prefix in prefixes], dtype=np.int64)
    depth = np.array([len(prefix) - 1 for prefix in prefixes], dtype=np.int64)
    return Trie(tokens, np.array(parent, dtype=np.int64), depth, at, token)
