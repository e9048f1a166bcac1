"""Masking of BERT4Rec, "random + boost": what is hidden, and behind what.

Every place is hidden with probability `random`; then, with probability `last`, the last place of a sequence is hidden
too, because that is what inference asks. A place hidden at random shows the mask (80 %), any item (10 %) or itself
(10 %), as in BERT; the boosted last place always shows the mask, as it does in inference.

Sun et al., "BERT4Rec", CIKM 2019, section 3.6; drawn anew for every sample in every epoch."""

from dataclasses import dataclass

import numpy as np

from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.params import Masking

SHOW_MASK, SHOW_ANY = 0.8, 0.9


@dataclass(frozen=True)
class Masked:
    shown: Sequences  # what the model sees
    hidden: np.ndarray  # [sum of lengths] whether the place is to be restored


def mask(sequences: Sequences, p: Masking, items: int, rng: np.random.Generator) -> Masked:
    """Hide places of each sequence; the mask is item number `items` + 1."""
    size = len(sequences.items)
    at_random = rng.random(size) < p.random
    way = rng.random(size)
    anything = rng.integers(1, items + 1, size=size)
    ends = sequences.starts[1:][sequences.lengths > 0] - 1
    boosted = np.zeros(size, dtype=bool)
    boosted[ends[rng.random(len(ends)) < p.last]] = True
    shown = np.where(at_random & (way >= SHOW_MASK) & (way < SHOW_ANY), anything, sequences.items)
    shown = np.where(boosted | (at_random & (way < SHOW_MASK)), items + 1, shown)
    return Masked(Sequences(shown, sequences.starts), at_random | boosted)
