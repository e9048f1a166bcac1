"""The distilled student beside the same student alone, reader by reader.

    gain_u   NDCG@depth of reader u, ties by expectation; with several seeds its mean over them
    test     paired t test of the readers' differences, two-sided (scipy), with its 95 % interval
Readers are the unit, so 5 seeds do not make 5 times as many; the spread over seeds is told beside it."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from kitrec.core.ranking_metrics import expected_metric
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models.sequence_model import Recommender
from kitrec.recommenders.ranking.full import ranks


@dataclass(frozen=True)
class Compared:
    baseline: float
    distilled: float
    relative_gain: float | None  # of the means; none where the student alone had nothing right
    difference: float
    low: float
    high: float
    p_value: float
    gain_of_seeds: list[float | None]  # relative, one a seed; none where the student alone had nothing right
    readers: int

    def told(self) -> dict[str, float | list[float | None] | None]:
        """As numbers of a metrics file."""
        numbers: dict[str, float | None] = {
            name: round(value, 6) for name, value in vars(self).items() if isinstance(value, float)
        }
        # a p-value is told by its leading digits, however small
        shares = [own if own is None else round(own, 4) for own in self.gain_of_seeds]
        numbers |= {"relative_gain": None} if self.relative_gain is None else {}
        return {**numbers, "p_value": float(f"{self.p_value:.3g}"), "gain_of_seeds": shares, "readers": self.readers}


def gains(model: Recommender, histories: Sequences, truths: np.ndarray, depth: int) -> np.ndarray:
    """[readers] NDCG@depth of each."""
    better, equal = ranks(model, histories, truths)
    return expected_metric(f"ndcg@{depth}", better, equal)


def compare(baseline: np.ndarray, distilled: np.ndarray) -> Compared:
    """From the gains of both, [seeds, readers]."""
    differences = (distilled - baseline).mean(axis=0)
    if len(differences) < 2 or not differences.any():
        low, high, p_value = float(differences.mean()), float(differences.mean()), 1.0
    else:
        found = stats.ttest_1samp(differences, 0.0)
        interval = found.confidence_interval(0.95)
        low, high, p_value = float(interval.low), float(interval.high), float(found.pvalue)
    alone, taught = float(baseline.mean()), float(distilled.mean())
    means = zip(baseline.mean(axis=1).tolist(), distilled.mean(axis=1).tolist(), strict=True)
    seeds = [other / own - 1 if own else None for own, other in means]
    gain = taught / alone - 1 if alone else None
    return Compared(alone, taught, gain, taught - alone, low, high, p_value, seeds, len(differences))
