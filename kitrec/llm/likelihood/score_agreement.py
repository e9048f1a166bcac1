"""Agreement of several scorings of the same candidates: a list in other orders, a base in other weights.

tau = (concordant - discordant) / sqrt((n0 - ties1)(n0 - ties2))   (Kendall's tau-b, by scipy)"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from kitrec.core.errors import InputError

Scores = Mapping[str, Sequence[np.ndarray]]  # name -> a record's scores of its candidates, in one order for all names


def score_agreement(scores: Scores, ground_truth: Sequence[int]) -> dict[str, Any]:
    """Return Hit@1 of each scoring and its spread, the share of equal top items, tau and score gap over all pairs."""
    if not ground_truth:
        raise InputError("no record was scored: all answers are errors, see metrics/answers")
    top = {name: np.array([values.argmax() for values in rows]) for name, rows in scores.items()}
    hits = {name: float(np.mean(chosen == np.array(ground_truth))) for name, chosen in top.items()}
    same = np.all(np.stack(list(top.values())) == next(iter(top.values())), axis=0)
    pairs = [(a, b) for first, second in combinations(scores.values(), 2) for a, b in zip(first, second, strict=True)]
    gaps = [np.abs(a - b) for a, b in pairs]
    figures = {
        "same_first_share": np.mean(same),
        "kendall_tau": np.nanmean([kendalltau(a, b).statistic for a, b in pairs]),
        "score_gap_mean": np.mean([gap.mean() for gap in gaps]),
        "score_gap_max": max(gap.max() for gap in gaps),
        "hit@1_spread": max(hits.values()) - min(hits.values()),
    }
    rounded = {name: round(float(value), 4) for name, value in figures.items()}
    return {"records": len(ground_truth), "hit@1": {name: round(hit, 4) for name, hit in hits.items()}, **rounded}
