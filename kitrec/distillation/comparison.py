"""Comparison of a distilled student with its baseline, paired by user.

    gain_u   NDCG@depth of user u, ties by expectation; with several seeds its mean over them
    test     paired t test of the users' differences, two-sided (scipy), with its 95 % interval
Users are the unit, so 5 seeds do not make 5 times as many; the spread over seeds is reported beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from kitrec.core.ranking_metrics import expected_metric, mean_metrics, with_recall
from kitrec.recommenders.models.interface import Recommender
from kitrec.recommenders.sequence_training import Validation
from kitrec.recommenders.storage import StoredModel


@dataclass(frozen=True)
class StudentComparison:
    baseline: float
    distilled: float
    relative_gain: float | None  # of the means; None if the baseline has no hit
    difference: float
    low: float
    high: float
    p_value: float
    gain_by_seed: list[float | None]  # relative; None if the baseline of that seed has no hit
    users: int

    def metrics(self) -> dict[str, float | list[float | None] | None]:
        """Return the rounded numbers for a metrics file."""
        numbers: dict[str, float | None] = {
            name: round(value, 6) for name, value in vars(self).items() if isinstance(value, float)
        }
        # significant digits, since a p-value may be far below 1e-6
        gains = [gain if gain is None else round(gain, 4) for gain in self.gain_by_seed]
        numbers |= {"relative_gain": None} if self.relative_gain is None else {}
        return {**numbers, "p_value": float(f"{self.p_value:.3g}"), "gain_by_seed": gains, "users": self.users}


def user_ndcg(model: Recommender, test: Validation, depth: int) -> np.ndarray:
    """Return NDCG@depth of each user, [users]."""
    better, equal = test.ranks(model)
    return expected_metric(f"ndcg@{depth}", better, equal)


def compare(baseline: np.ndarray, distilled: np.ndarray) -> StudentComparison:
    """Compare the NDCG of both students, [seeds, users]."""
    differences = (distilled - baseline).mean(axis=0)
    if len(differences) < 2 or not differences.any():
        low, high, p_value = float(differences.mean()), float(differences.mean()), 1.0
    else:
        test = stats.ttest_1samp(differences, 0.0)
        interval = test.confidence_interval(0.95)
        low, high, p_value = float(interval.low), float(interval.high), float(test.pvalue)
    before, after = float(baseline.mean()), float(distilled.mean())
    means = zip(baseline.mean(axis=1).tolist(), distilled.mean(axis=1).tolist(), strict=True)
    by_seed = [with_teacher / without - 1 if without else None for without, with_teacher in means]
    gain = after / before - 1 if before else None
    return StudentComparison(before, after, gain, after - before, low, high, p_value, by_seed, len(differences))


def compare_students(
    baseline: Sequence[StoredModel],
    distilled: Sequence[StoredModel],
    test: Validation,
    depth: int,
    cutoffs: Sequence[int],
) -> dict[str, Any]:
    """Compare stored students, one model per seed: NDCG by user, and the mean metrics of both at all cutoffs."""
    before, after = (
        np.stack([user_ndcg(stored.model, test, depth) for stored in models]) for models in (baseline, distilled)
    )
    metrics = {
        name: _mean_metrics(models, test, cutoffs)
        for name, models in (("baseline", baseline), ("distilled", distilled))
    }
    return {f"ndcg@{depth}": compare(before, after).metrics(), **metrics}


def _mean_metrics(models: Sequence[StoredModel], test: Validation, cutoffs: Sequence[int]) -> dict[str, float]:
    """Return the mean over the seeds; with one relevant item per user, Hit is Recall."""
    by_seed = []
    for stored in models:
        better, equal = test.ranks(stored.model)
        by_seed.append({name: value for k in cutoffs for name, value in mean_metrics(better, equal, k).items()})
    means = {name: round(float(np.mean([metrics[name] for metrics in by_seed])), 6) for name in by_seed[0]}
    return with_recall(means)
