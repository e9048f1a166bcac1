"""Ranking metrics of a single relevant item, per user, with ties by expectation (McSherry & Najork, ECIR 2008).

With g candidates scored strictly better than the truth and e scored equal to it (itself included), the truth stands at
rank g+1 … g+e with probability 1/e each:
    Hit@k   = clip(k - g, 0, e) / e
    MRR     = (1/e) Σ_{r=g+1}^{g+e} 1/r
    NDCG@k  = (1/e) Σ_{r=g+1}^{min(g+e, k)} 1/log2(r + 1)
A truth that is not in the list has rank infinity and scores 0 everywhere.

Shapes: R records."""

import numpy as np

from kitrec.core.ranking_metrics import expected_metric
from kitrec.schemas.scores import METRICS

MISSING = -1


def metrics(better: np.ndarray, equal: np.ndarray) -> dict[str, np.ndarray]:
    """All metrics [R] from g and e [R]; `better == MISSING` where the truth is not in the list."""
    found = better != MISSING
    g, e = np.where(found, better, 0), np.where(found, equal, 1)
    return {name: np.where(found, expected_metric(name, g, e), 0.0) for name in METRICS}
