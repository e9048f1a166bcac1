"""Sampled evaluation: each target ranked among 100 items that the user has not had, as older papers report it.

Sampled metrics are far higher than those of the full ranking and may order models differently (Krichene and Rendle
2020): they serve comparison with published tables, never the choice of a model. Shapes: U users, N items, A users of a
round, D draws of each."""

import numpy as np

from kitrec.core.errors import InputError
from kitrec.core.ranking_metrics import mean_metrics
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models.interface import Recommender
from kitrec.recommenders.ranking.full import candidate_scores

NEGATIVES = 100
CHUNK = 4096  # users sampled at once
ROUNDS, MORE = 8, 32  # of draws before the noise of all items is cheaper; draws beyond those that are missing
NOISE = 1 << 22  # noise of all items in memory at once


def sample_negatives(
    rng: np.random.Generator, positives: Sequences, weights: np.ndarray, count: int = NEGATIVES
) -> np.ndarray:
    """Sample [U, count] different items per user, none of `positives`, one by one in proportion to `weights` [N].

    Draws with replacement, of which positives and repeats are left out, are such a sample."""
    likely = np.flatnonzero(weights > 0)
    total = np.cumsum(weights[likely], dtype=np.float64)
    sampled = np.empty((len(positives), count), dtype=np.int64)
    for start in range(0, len(positives), CHUNK):
        users = np.arange(start, min(start + CHUNK, len(positives)))
        part, width = positives.take(users), len(weights) + 1
        removed = np.unique(part.users * width + part.items)
        _require_enough(removed, width, weights, len(users), count)
        chosen = np.zeros((len(users), count), dtype=np.int64)  # 0: still missing
        for _ in range(ROUNDS):
            rows = np.flatnonzero(chosen[:, -1] == 0)
            if not len(rows):
                break
            draws = rng.random((len(rows), int((chosen[rows] == 0).sum(1).max()) + MORE)) * total[-1]
            items = likely[np.minimum(np.searchsorted(total, draws, side="right"), len(likely) - 1)] + 1
            items[_among(rows[:, None] * width + items, removed)] = 0
            chosen[rows] = _first_distinct(np.concatenate([chosen[rows], items], axis=1), count)
        _fill_by_noise(rng, chosen, removed, weights)
        sampled[users] = chosen
    return sampled


def sampled_metrics(
    model: Recommender, histories: Sequences, targets: np.ndarray, negatives: np.ndarray
) -> dict[str, float]:
    """Return Hit, NDCG and MRR of each target among its negatives, ties by expectation."""
    scores = candidate_scores(model, histories, np.concatenate([targets[:, None], negatives], axis=1))
    target, others = scores[:, :1], scores[:, 1:]
    return mean_metrics((others > target).sum(1), (others == target).sum(1) + 1)


def _require_enough(removed: np.ndarray, width: int, weights: np.ndarray, users: int, count: int) -> None:
    rows, items = np.divmod(removed, width)
    taken = np.bincount(rows[weights[items - 1] > 0], minlength=users)
    available = int((weights > 0).sum() - taken.max(initial=0))
    if available < count:
        raise InputError(f"a user has only {available} items left to sample {count} negatives from: sample fewer")


def _first_distinct(items: np.ndarray, count: int) -> np.ndarray:
    """Return the first `count` different items of each row [A, D] in their order, then zeros."""
    order = np.argsort(items, axis=1, kind="stable")
    ordered = np.take_along_axis(items, order, axis=1)
    first = np.ones_like(ordered, dtype=bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    kept = np.empty_like(first)
    np.put_along_axis(kept, order, first & (ordered > 0), axis=1)
    slots = np.cumsum(kept, axis=1) - 1
    rows, columns = np.nonzero(kept & (slots < count))
    chosen = np.zeros((len(items), count), dtype=np.int64)
    chosen[rows, slots[rows, columns]] = items[rows, columns]
    return chosen


def _fill_by_noise(rng: np.random.Generator, chosen: np.ndarray, removed: np.ndarray, weights: np.ndarray) -> None:
    """Choose what the rounds left missing, where few items are left or few have most of the weight.

    The highest of log weight + Gumbel noise are a sample one by one (Vieira 2014)."""
    incomplete, width = np.flatnonzero(chosen[:, -1] == 0), len(weights) + 1
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights.astype(np.float64))
    for start in range(0, len(incomplete), step := max(1, NOISE // len(weights))):
        rows = incomplete[start : start + step]
        keys = log_weights + rng.gumbel(size=(len(rows), len(weights)))
        for row, user in enumerate(rows.tolist()):
            first, last = np.searchsorted(removed, [user * width, (user + 1) * width])
            keys[row, removed[first:last] % width - 1] = -np.inf
            taken = chosen[user][chosen[user] > 0]
            keys[row, taken - 1] = -np.inf
            missing = chosen.shape[1] - len(taken)
            chosen[user, len(taken) :] = np.argpartition(-keys[row], missing - 1)[:missing] + 1


def _among(keys: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Return whether each key is one of the ordered ones."""
    if not len(ordered):
        return np.zeros(keys.shape, dtype=bool)
    return ordered[np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)] == keys
