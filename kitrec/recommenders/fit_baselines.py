"""Baselines of a model trained on user-supplied files: popularity and item-kNN, counted on the same training items.

They rank each user's last item by the same rules as the model: the same histories, the same items masked, the same
sampled items. Shapes: U users, N items."""

from collections.abc import Mapping

import numpy as np

from kitrec.core.ranking_metrics import mean_metrics
from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.sequences import LeaveOneOut, Sequences
from kitrec.recommenders.models.interface import Ranker
from kitrec.recommenders.models.params import ItemKNN, NonParametricModel, Popularity
from kitrec.recommenders.models.registry import count_model

MAX_SCORES = 10_000_000  # in memory at once
Metrics = dict[str, dict[str, float]]  # ranked among -> metric -> mean


def baseline_metrics(
    split: LeaveOneOut, items: int, knn: ItemKNN, seed: int, sampled: Mapping[str, np.ndarray], *, mask_history: bool
) -> dict[str, Metrics]:
    """Return each baseline's metrics of the users' last items, among all items and among sampled ones."""
    baselines: dict[str, NonParametricModel] = {"popularity": Popularity(kind="popularity"), "item_knn": knn}
    reports = {}
    for name, p in baselines.items():
        model = count_model(p, split.train, items, seed)
        among_all = ranks_among_all(model, split.before_test, split.test, items, mask_history=mask_history)
        reports[name] = {"all": mean_metrics(*among_all)}
        for among, negatives in sampled.items():
            reports[name][among] = mean_metrics(*_ranks_among(model, split.before_test, split.test, negatives))
    return reports


def ranks_among_all(
    model: Ranker, histories: Sequences, targets: np.ndarray, items: int, *, mask_history: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many of all items are better than each user's target, and how many equal (itself included)."""
    counts = np.empty((2, len(targets)), dtype=np.int64)
    chunk = max(1, MAX_SCORES // items)
    for start in range(0, len(targets), chunk):
        part = np.arange(start, min(start + chunk, len(targets)))
        users, rows = histories.take(part), np.arange(len(part))
        every_item = np.broadcast_to(np.arange(1, items + 1), (len(part), items))
        scores = model.candidate_scores(UserHistories(users), every_item)
        target_scores = scores[rows, targets[part] - 1][:, None]
        if mask_history:
            scores[users.users, users.items - 1] = -np.inf
            scores[rows, targets[part] - 1] = target_scores[:, 0]
        counts[:, part] = (scores > target_scores).sum(1), (scores == target_scores).sum(1)
    return counts[0], counts[1]


def _ranks_among(
    model: Ranker, histories: Sequences, targets: np.ndarray, negatives: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    scores = model.candidate_scores(UserHistories(histories), np.concatenate([targets[:, None], negatives], axis=1))
    target, others = scores[:, :1], scores[:, 1:]
    return (others > target).sum(1), (others == target).sum(1) + 1
