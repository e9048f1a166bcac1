"""How far several scorings of the same candidates agree: of a list in other orders, of a base in other weights.

tau = (concordant - discordant) / sqrt((n0 - ties1)(n0 - ties2))   (Kendall's tau-b, by scipy)"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from kitrec.core.errors import InputError

Scores = Mapping[str, Sequence[np.ndarray]]  # name -> a record's scores of its candidates, in one order for all names


def agreement(scores: Scores, truths: Sequence[int]) -> dict[str, Any]:
    """Hit@1 of each scoring and its spread; how often all put the same candidate first; tau and gap over all pairs."""
    if not truths:
        raise InputError("no record was scored: all answers are errors, see metrics/answers")
    first = {name: np.array([own.argmax() for own in rows]) for name, rows in scores.items()}
    hits = {name: float(np.mean(chosen == np.array(truths))) for name, chosen in first.items()}
    same = np.all(np.stack(list(first.values())) == next(iter(first.values())), axis=0)
    pairs = [(a, b) for one, two in combinations(scores.values(), 2) for a, b in zip(one, two, strict=True)]
    gaps = [np.abs(a - b) for a, b in pairs]
    figures = {
        "same_first_share": np.mean(same),
        "kendall_tau": np.nanmean([kendalltau(a, b).statistic for a, b in pairs]),
        "score_gap_mean": np.mean([gap.mean() for gap in gaps]),
        "score_gap_max": max(gap.max() for gap in gaps),
        "hit@1_spread": max(hits.values()) - min(hits.values()),
    }
    rounded = {name: round(float(value), 4) for name, value in figures.items()}
    return {"records": len(truths), "hit@1": {name: round(hit, 4) for name, hit in hits.items()}, **rounded}
