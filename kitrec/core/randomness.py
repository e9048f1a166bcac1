"""Randomness is an argument: one seed, and a generator of its own for every purpose, user or sample."""

import hashlib

import numpy as np


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """The generator of a purpose (`"candidates", "A", user`): independent of all others and of the order of calls."""
    return np.random.default_rng([seed, *_words(purpose)])


def derived_seed(seed: int, *purpose: str | int) -> int:
    """A 31-bit seed of a purpose, for libraries that want an integer."""
    return int(generator(seed, *purpose).integers(2**31))


def _words(purpose: tuple[str | int, ...]) -> list[int]:
    digest = hashlib.sha256("\x1f".join(map(str, purpose)).encode()).digest()
    return [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)]
