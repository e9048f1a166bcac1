"""Item ids of ten letters: two symbols of five (`KAROS` + `MELIN`).

The first 64 symbols are single tokens of the tiny base's tokenizer, so that an id is two tokens there."""

from itertools import product

import numpy as np

from kitrec.randomness import generator

COMMON_SYMBOLS = 64


def symbols(count: int) -> list[str]:
    """The first `count` symbols: consonant-vowel-consonant-vowel-consonant, in one fixed scrambled order."""
    consonants, vowels = "BDFGKLMNPRSTVZ", "AEIOU"
    every = ["".join(s) for s in product(consonants, vowels, consonants, vowels, consonants)]
    return [every[i] for i in generator(0, "id symbols").permutation(len(every))[:count]]


def draw_ids(rng: np.random.Generator, count: int) -> list[str]:
    """`count` different ids: of common symbols while 64 x 64 pairs last, of more symbols beyond."""
    alphabet = symbols(max(COMMON_SYMBOLS, int(np.ceil(np.sqrt(2 * count)))))
    pairs = rng.choice(len(alphabet) ** 2, size=count, replace=False)
    return [alphabet[p // len(alphabet)] + alphabet[p % len(alphabet)] for p in pairs.tolist()]
