"""Item ids of ten letters: two symbols of five letters each (`KAROS` + `MELIN`).

The tiny base's tokenizer has 1,024 first and 64 second symbols as single tokens, so that an id is two tokens there.
First symbols are assigned in rounds: two ids share one only if there are more ids than first symbols."""

from itertools import product

import numpy as np

from kitrec.core.randomness import generator

FIRSTS, SECONDS = 1024, 64


def symbols(count: int) -> list[str]:
    """Return the first `count` symbols (consonant-vowel-consonant-vowel-consonant) of a fixed random order."""
    consonants, vowels = "BDFGKLMNPRSTVZ", "AEIOU"
    all_symbols = ["".join(s) for s in product(consonants, vowels, consonants, vowels, consonants)]
    return [all_symbols[i] for i in generator(0, "id symbols").permutation(len(all_symbols))[:count]]


def first_symbols() -> list[str]:
    """Return the first symbols of ids."""
    return symbols(SECONDS + FIRSTS)[SECONDS:]


def second_symbols() -> list[str]:
    """Return the second symbols of ids, in worlds of up to 65,536 items."""
    return symbols(SECONDS)


def draw_ids(rng: np.random.Generator, count: int) -> list[str]:
    """Draw `count` distinct ids; beyond 65,536 of them more second symbols are used."""
    rounds = -(-count // FIRSTS)
    firsts, seconds = first_symbols(), symbols(max(SECONDS, rounds))
    first = np.concatenate([rng.permutation(FIRSTS) for _ in range(rounds)])[:count]
    second = (rng.integers(len(seconds), size=FIRSTS)[first] + np.arange(count) // FIRSTS) % len(seconds)
    return [firsts[a] + seconds[b] for a, b in zip(first.tolist(), second.tolist(), strict=True)]
