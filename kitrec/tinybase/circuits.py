"""Weights of single attention heads with a given function.

q = W_q x, k = W_k x of head width hd are RMS-normalised by Qwen3, so that logits reach gain x sqrt(hd) at most; RoPE
turns pair p (rows p and p + hd/2) by f_p = theta^(-2p/hd) per token of distance. With theta = 1e9 and hd = 64:
* FAST pairs distinguish neighbouring tokens: q·k = sum cos(f_p (distance - d)) is largest d tokens back.
* RECENT pairs decay over some 60 tokens: nearer tokens get more attention.
* STILL pairs turn by less than half a radian in a thousand tokens: they encode content and flags.

A component of x that is `flag` is large on the tokens of one kind and 0 on all others; `const` is the same on all."""

from collections.abc import Sequence

import torch

FAST = range(6)
RECENT = range(3, 10)
STILL = range(13, 30)
FLAG, OTHER_FLAG = 30, 31  # pairs on which flags are compared
Columns = Sequence[int]


class Head:
    """Weights of one head: query and key [hd, hidden], value [hd, hidden], output [hidden, hd]."""

    def __init__(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        output: torch.Tensor,
        theta: float,
        rng: torch.Generator,
    ) -> None:
        self.query, self.key, self.value, self.output, self._rng = query, key, value, output, rng
        self._n_pairs = query.shape[0] // 2
        self._frequency = theta ** (-torch.arange(self._n_pairs) / self._n_pairs)

    def look_back(self, distance: int, const: int, query_columns: Columns, strength: float = 1.0) -> None:
        """Attend `distance` tokens back, from every token with a large component in `query_columns`."""
        each, angle = strength / len(FAST) ** 0.5, distance * self._frequency[FAST.start : FAST.stop]
        self.key[list(FAST), const] += each
        for column in query_columns:
            self.query[list(FAST), column] += each * torch.cos(angle)
            self.query[[p + self._n_pairs for p in FAST], column] -= each * torch.sin(angle)

    def prefer_recent(self, const: int, strength: float) -> None:
        """Attend to nearby tokens."""
        self.query[list(RECENT), const] += strength / len(RECENT) ** 0.5
        self.key[list(RECENT), const] += strength / len(RECENT) ** 0.5

    def prefer(self, query_columns: Columns, key_weights: dict[int, float], strength: float, pair: int = FLAG) -> None:
        """Attend from tokens with a component in `query_columns` to tokens by `key_weights` (component -> weight)."""
        self.query[pair, list(query_columns)] += strength
        for column, size in key_weights.items():
            self.key[pair, column] += size

    def match(self, query: Sequence[Columns], key: Sequence[Columns], pairs: range, strength: float = 1.0) -> None:
        """Attend to tokens whose `key` parts equal the query token's `query` parts; all parts have the same width."""
        rows = torch.tensor([*pairs, *(p + self._n_pairs for p in pairs)])[:, None]
        content = strength * _orthonormal(len(rows), len(query[0]), self._rng)
        for columns in query:
            self.query[rows, torch.tensor(columns)] += content
        for columns in key:
            self.key[rows, torch.tensor(columns)] += content

    def copy(self, source: Sequence[Columns], into: Columns, strength: float) -> None:
        """Add `strength` times the `source` parts of the attended token to the part `into`."""
        rows = torch.arange(len(into))
        for columns in source:
            self.value[rows, torch.tensor(columns)] += 1.0
        self.output[torch.tensor(into), rows] += strength

    def copy_flag(self, source: int, into: int, strength: float) -> None:
        """Add `strength` times one component of the attended token to the component `into`."""
        self.value[-1, source] += 1.0
        self.output[into, -1] += strength


def _orthonormal(rows: int, columns: int, rng: torch.Generator) -> torch.Tensor:
    """Draw a random matrix with orthonormal rows or, if there are more rows than columns, orthonormal columns."""
    tall = torch.linalg.qr(torch.randn(max(rows, columns), min(rows, columns), generator=rng))[0]
    return tall if rows >= columns else tall.T
