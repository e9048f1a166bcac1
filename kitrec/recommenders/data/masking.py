"""Masking of BERT4Rec: random positions, and the last position of some sequences once more.

Every position is masked with probability `random`; then, with probability `last`, the last position of a sequence is
masked too, because inference predicts there. A position masked at random is replaced by the mask (80 %), by a random
item (10 %) or kept (10 %), as in BERT; the boosted last position always becomes the mask, as it does in inference.

Sun et al., "BERT4Rec", CIKM 2019, section 3.6; sampled anew for every sequence in every epoch."""

from dataclasses import dataclass

import numpy as np

from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models.params import Masking

MASK_UNTIL, RANDOM_ITEM_UNTIL = 0.8, 0.9


@dataclass(frozen=True)
class MaskedSequences:
    inputs: Sequences  # what the model reads
    masked: np.ndarray  # [sum of lengths] whether the position is to be predicted


def mask(sequences: Sequences, p: Masking, items: int, rng: np.random.Generator) -> MaskedSequences:
    """Mask positions of each sequence; the mask is item number `items` + 1."""
    size = len(sequences.items)
    at_random = rng.random(size) < p.random
    replacement = rng.random(size)
    random_items = rng.integers(1, items + 1, size=size)
    ends = sequences.starts[1:][sequences.lengths > 0] - 1
    boosted = np.zeros(size, dtype=bool)
    boosted[ends[rng.random(len(ends)) < p.last]] = True
    by_item = at_random & (replacement >= MASK_UNTIL) & (replacement < RANDOM_ITEM_UNTIL)
    inputs = np.where(by_item, random_items, sequences.items)
    inputs = np.where(boosted | (at_random & (replacement < MASK_UNTIL)), items + 1, inputs)
    return MaskedSequences(Sequences(inputs, sequences.starts), at_random | boosted)
