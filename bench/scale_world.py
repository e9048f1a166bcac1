"""Users and items of `bench.scale`: 700,000 items, as Amazon's Movies & TV has them, and short histories."""

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch

from kitrec.recommenders.data.sequences import Sequences, sequences_from_lists
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models.params import SASRec
from kitrec.recommenders.models.registry import build_sequence_model
from kitrec.recommenders.storage import StoredModel

Result = TypeVar("Result")
ITEMS = 700_000
MEAN, LONGEST = 12, 50  # items of a history
MODEL = SASRec(kind="sasrec", hidden_size=64, heads=2, layers=2, max_length=LONGEST, dropout=0.5)


def made_histories(users: int, seed: int = 0, items: int = ITEMS) -> Sequences:
    """Histories of geometric length; popular items come more often."""
    rng = np.random.default_rng(seed)
    lengths = np.minimum(LONGEST, 2 + rng.geometric(1 / (MEAN - 2), users))
    return sequences_from_lists(1 + (items * rng.random(length) ** 2).astype(np.int64) for length in lengths.tolist())


def made_model(items: int = ITEMS) -> StoredModel:
    """A SASRec as the pipeline distils it, with random weights: the time of a ranking does not depend on training."""
    torch.manual_seed(0)
    model = build_sequence_model(MODEL, items).eval()
    vocabulary = Vocabulary(f"i{number:07d}" for number in range(1, items + 1))
    return StoredModel(model, vocabulary, np.ones(items + 1, dtype=np.float32), {})


def processor_seconds(run: Callable[[], Result], repeats: int = 1) -> tuple[float, Result]:
    """Return the fewest processor seconds of some repeats, and the result: what else runs here counts little."""
    seconds = []
    for _ in range(repeats):
        began = time.process_time()
        result = run()
        seconds.append(time.process_time() - began)
    return min(seconds), result
