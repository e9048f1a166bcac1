"""Time of evaluating a real test set: 30,000 users, 14 rankings of 6 metrics.   make bench-evaluate

All cells with 10,000-resample BCa intervals, all pairwise tests with intervals and 10,000 sign flips. The peer is the
loop of papers' scripts: per column and resample a np.random.choice, and a sum over its users in Python; it is
timed on a few resamples and extrapolated (intervals only: the peer makes no tests)."""

import resource
import time

import numpy as np
import polars as pl

from bench.claims import at_least, at_most, publish
from bench.running import start
from kitrec.core.domains import CORES, KITREC
from kitrec.evaluation.comparisons import comparisons
from kitrec.evaluation.metrics import metrics
from kitrec.evaluation.params import Family
from kitrec.evaluation.score_matrix import ScoreMatrix, score_matrix
from kitrec.evaluation.strata_means import strata_means
from kitrec.schemas.scores import METRICS, SCORES

COMMAND = "make bench-evaluate"
USERS, RESAMPLES, PERMUTATIONS = 30_000, 10_000, 10_000
SCORED, WRITTEN, CANDIDATES = 10, 4, 100
LOOPED = 3  # resamples of the peer


def main() -> None:
    """Time both sides and publish."""
    table = _scores()
    began = time.perf_counter()
    m = score_matrix(table)
    strata = strata_means(m, resamples=RESAMPLES, min_users=30, seed=1)
    strata_seconds = time.perf_counter() - began
    family = Family(kind="scored", metrics=["mrr"], pairs=[("m0", "m1")])
    tested = comparisons(m, family, answer_items={}, resamples=RESAMPLES, permutations=PERMUTATIONS, seed=1)
    seconds = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    loop = _loop(m)
    passes = strata["stratum"].n_unique()  # every stratum holds all users once; the last is core within domain
    whole = loop * RESAMPLES / LOOPED * len(m.columns) * passes
    rows = [
        {"what": "matrix and cells", "seconds": round(strata_seconds, 1), "rows": strata.height},
        {"what": "comparisons", "seconds": round(seconds - strata_seconds, 1), "rows": tested.height},
        {"what": f"the loop, from {LOOPED} resamples of one column", "seconds": round(whole), "rows": strata.height},
    ]
    publish(
        "evaluate",
        [
            at_most("all cells and comparisons", seconds, 60, "s", COMMAND),
            at_most("peak memory", memory, 4096, "MiB", COMMAND),
            at_least("all cells, speed", whole / strata_seconds, 50, "x", COMMAND, peer="a loop over users in Python"),
        ],
        {"Time": rows},
    )


def _scores() -> pl.DataFrame:
    """Return random ranks among 100 candidates, some methods better than others."""
    g, types = np.random.default_rng(1), list(KITREC.user_types)
    kind_of = [types[k % 10] for k in range(USERS)]
    records = {
        "record_id": [f"R{k:06d}" for k in range(USERS)],
        "user_id": [f"U{k:06d}" for k in range(USERS)],
        "target": [KITREC.user_types[name].target for name in kind_of],
        "user_type": kind_of,
        "user_category": [KITREC.user_types[name].category for name in kind_of],
        "core": [CORES[k % 6] for k in range(USERS)],
        "gt_has_metadata": [k % 9 > 0 for k in range(USERS)],
        "candidate_hash": [f"h{k}" for k in range(USERS)],
    }
    frames = []
    for k in range(SCORED + WRITTEN):
        better = np.floor(CANDIDATES * g.random(USERS) ** (1 + k / 5)).astype(int)
        values = metrics(better, np.ones(USERS, dtype=int))
        kind = "scored" if k < SCORED else "written"
        frames.append(pl.DataFrame({"method": f"m{k}", "kind": kind, **records, **values}))
    return pl.concat(frames).select(*SCORES.columns)


def _loop(m: ScoreMatrix) -> float:
    """Return the seconds of a few resamples of one column."""
    values, users = m.values[:, METRICS.index("mrr")], np.arange(USERS)
    began = time.perf_counter()
    for _ in range(LOOPED):
        drawn = np.random.choice(users, USERS)
        sum(values[user] for user in drawn) / USERS
    return time.perf_counter() - began


if __name__ == "__main__":
    start(main, __doc__)
