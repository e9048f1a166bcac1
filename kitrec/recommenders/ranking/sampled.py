"""Sampled evaluation: each target ranked among 100 items that the user has not had, as older papers report it.

Sampled metrics are far higher than those of the full ranking and may order models differently (Krichene and Rendle
2020): they serve comparison with published tables, never the choice of a model. Shapes: U users, N items."""

import numpy as np

from kitrec.core.errors import InputError
from kitrec.core.ranking_metrics import mean_metrics
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models.interface import Recommender
from kitrec.recommenders.ranking.full import candidate_scores

NEGATIVES = 100
CHUNK = 256


def sample_negatives(
    rng: np.random.Generator, positives: Sequences, weights: np.ndarray, count: int = NEGATIVES
) -> np.ndarray:
    """Sample [U, count] different items per user, none of `positives`, one by one in proportion to `weights` [N].

    The `count` highest of log weight + Gumbel noise are such a sample (Vieira 2014)."""
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights.astype(np.float64))
    sampled = np.empty((len(positives), count), dtype=np.int64)
    for start in range(0, len(positives), CHUNK):
        part = np.arange(start, min(start + CHUNK, len(positives)))
        part_positives = positives.take(part)
        keys = log_weights + rng.gumbel(size=(len(part), len(weights)))
        keys[part_positives.users, part_positives.items - 1] = -np.inf
        available = int(np.isfinite(keys).sum(1).min())
        if available < count:
            raise InputError(f"a user has only {available} items left to sample {count} negatives from: sample fewer")
        sampled[part] = np.argpartition(-keys, count - 1, axis=1)[:, :count] + 1
    return sampled


def sampled_metrics(
    model: Recommender, histories: Sequences, targets: np.ndarray, negatives: np.ndarray
) -> dict[str, float]:
    """Return Hit, NDCG and MRR of each target among its negatives, ties by expectation."""
    scores = candidate_scores(model, histories, np.concatenate([targets[:, None], negatives], axis=1))
    target, others = scores[:, :1], scores[:, 1:]
    return mean_metrics((others > target).sum(1), (others == target).sum(1) + 1)
