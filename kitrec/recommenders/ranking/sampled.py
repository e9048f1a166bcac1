"""Where the truth stands among few items: itself and 100 that the user did not touch, as older papers report it.

Such numbers are far higher than those of the full ranking and may order models differently (Krichene and Rendle 2020):
they are for comparison with a published table, never for choosing a model. Shapes: U users, N items."""

import numpy as np

from kitrec.core.errors import InputError
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models.sequence_model import Recommender
from kitrec.recommenders.ranking.full import candidate_scores, quality

NEGATIVES = 100
CHUNK = 256


def untouched(rng: np.random.Generator, touched: Sequences, weights: np.ndarray, count: int = NEGATIVES) -> np.ndarray:
    """[U, count] different items for each user, none of `touched`, drawn one by one in shares of `weights` [N].

    The `count` highest of log weight + Gumbel noise are such a draw (Vieira 2014)."""
    with np.errstate(divide="ignore"):
        liking = np.log(weights.astype(np.float64))
    drawn = np.empty((len(touched), count), dtype=np.int64)
    for start in range(0, len(touched), CHUNK):
        part = np.arange(start, min(start + CHUNK, len(touched)))
        own = touched.take(part)
        keys = liking + rng.gumbel(size=(len(part), len(weights)))
        keys[own.users, own.items - 1] = -np.inf
        fewest = int(np.isfinite(keys).sum(1).min())
        if fewest < count:
            raise InputError(f"a user has only {fewest} untouched items to draw {count} from: draw fewer")
        drawn[part] = np.argpartition(-keys, count - 1, axis=1)[:, :count] + 1
    return drawn


def sampled_quality(
    model: Recommender, histories: Sequences, truths: np.ndarray, negatives: np.ndarray
) -> dict[str, float]:
    """Hit, NDCG and MRR of each truth among its own negatives, ties by expectation."""
    scores = candidate_scores(model, histories, np.concatenate([truths[:, None], negatives], axis=1))
    truth, others = scores[:, :1], scores[:, 1:]
    return quality((others > truth).sum(1), (others == truth).sum(1) + 1)
