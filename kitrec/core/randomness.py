"""Reproducible randomness: one seed, and an independent generator per purpose, user or sample."""

import hashlib

import numpy as np


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return the generator of a purpose (`"candidates", "A", user`), independent of others and of the call order."""
    return np.random.default_rng([seed, *_entropy(purpose)])


def derived_seed(seed: int, *purpose: str | int) -> int:
    """Return a 31-bit seed for a purpose, for libraries that need an integer."""
    return int(generator(seed, *purpose).integers(2**31))


def _entropy(purpose: tuple[str | int, ...]) -> list[int]:
    digest = hashlib.sha256("\x1f".join(map(str, purpose)).encode()).digest()
    return [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)]
