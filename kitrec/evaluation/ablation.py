"""RQ1, a 2x2 within users: does fine-tuning help, does thinking help, and does one need the other?

fine-tuning  = (tuned thinking + tuned direct - base thinking - base direct) / 2
thinking     = (tuned thinking + base thinking - tuned direct - base direct) / 2
interaction  = (tuned thinking - tuned direct) - (base thinking - base direct)"""

import numpy as np
import polars as pl

from kitrec.evaluation.contrasts import contrasts
from kitrec.evaluation.params import Ablation
from kitrec.evaluation.score_matrix import Matrix

EFFECTS = {"fine-tuning": (0.5, 0.5, -0.5, -0.5), "thinking": (0.5, -0.5, 0.5, -0.5), "interaction": (1, -1, -1, 1)}


def ablation(m: Matrix, p: Ablation, *, resamples: int, flips: int, seed: int) -> pl.DataFrame:
    """One row per metric and effect."""
    named = [(metric, effect) for metric in p.metrics for effect in EFFECTS]
    weights = np.zeros((len(m.columns), len(named)))
    for column, (metric, effect) in enumerate(named):
        for method, weight in zip(p.methods, EFFECTS[effect], strict=True):
            weights[m.place(method, p.kind, metric), column] = weight
    tested = contrasts(m, weights, resamples=resamples, flips=flips, seed=seed)
    about = pl.DataFrame(named, schema={"metric": pl.String, "of": pl.String}, orient="row")
    return pl.concat([about, tested], how="horizontal")
