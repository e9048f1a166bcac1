"""Ranking metrics of a single relevant item, per user, with ties by expectation (McSherry & Najork, ECIR 2008).

With g candidates scored strictly better than the held-out item and e scored equal to it (itself included), the item has
each rank g+1 … g+e with probability 1/e:
    Hit@k   = clip(k - g, 0, e) / e
    MRR     = (1/e) Σ_{r=g+1}^{g+e} 1/r
    NDCG@k  = (1/e) Σ_{r=g+1}^{min(g+e, k)} 1/log2(r + 1)
An item that is not in the list has rank infinity and scores 0 in every metric.

Shapes: R records."""

import numpy as np

from kitrec.core.ranking_metrics import expected_metric
from kitrec.schemas.scores import METRICS

MISSING = -1


def metrics(better: np.ndarray, equal: np.ndarray) -> dict[str, np.ndarray]:
    """Return all metrics [R] from g and e [R]; `better == MISSING` where the held-out item is not in the list."""
    listed = better != MISSING
    g, e = np.where(listed, better, 0), np.where(listed, equal, 1)
    return {name: np.where(listed, expected_metric(name, g, e), 0.0) for name in METRICS}
