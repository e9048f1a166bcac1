"""Ranking metrics of a single relevant item, with ties by expectation (McSherry & Najork, ECIR 2008).

With g items scored strictly better than the relevant item and e scored equal to it (itself included), its rank is
g+1 … g+e with probability 1/e each, and a metric is the mean of its gain over these ranks:
    Hit@k   gain(r) = [r <= k]
    NDCG@k  gain(r) = [r <= k] / log2(r + 1)
    MRR     gain(r) = 1 / r
Equal scores therefore never favour the relevant item. Shapes: U users or records."""

import numpy as np

DEPTH = 10


def expected_metric(name: str, better: np.ndarray, equal: np.ndarray) -> np.ndarray:
    """Return a metric (`hit@k`, `ndcg@k` or `mrr`) per user [U] from g and e [U]."""
    family, _, depth = name.partition("@")
    last = int((better + equal).max(initial=0))
    ranks = np.arange(1, last + 1)
    gain = {"hit": np.ones(last), "mrr": 1 / ranks, "ndcg": 1 / np.log2(ranks + 1)}[family]
    if depth:
        gain = np.where(ranks <= int(depth), gain, 0.0)
    cumulative = np.concatenate([[0.0], np.cumsum(gain)])
    return (cumulative[better + equal] - cumulative[better]) / equal


def with_recall(metrics: dict[str, float]) -> dict[str, float]:
    """Return the metrics with Recall@k beside Hit@k, of the same value: there is one relevant item."""
    recall = {name.replace("hit@", "recall@"): value for name, value in metrics.items() if name.startswith("hit@")}
    order = [name for hit in metrics for name in (hit, hit.replace("hit@", "recall@"))]
    return {name: (metrics | recall)[name] for name in dict.fromkeys(order)}


def mean_metrics(better: np.ndarray, equal: np.ndarray, depth: int = DEPTH) -> dict[str, float]:
    """Return the means over users of Hit@depth, NDCG@depth and MRR."""
    names = (f"hit@{depth}", f"ndcg@{depth}", "mrr")
    return {name: float(expected_metric(name, better, equal).mean()) for name in names}
