"""Late fusion: what titles say of a candidate and what a recommender over item ids says, added up.

    s(u, i) = (1 - w) z_r(u, i) + w z_t(u, i)        z: a method's scores, standardised over the candidates of a record
w of 0, 0.1, ... 1 is chosen on development records by NDCG@10, of equals the smallest: titles count only where they
helped there. Nothing is known of the methods but their rankings."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.titles.calibration import METRIC, mean_ndcg, padded
from kitrec.titles.questions import true_columns

WEIGHTS = tuple(k / 10 for k in range(11))


@dataclass(frozen=True)
class Standardised:
    """Scores z of both methods [candidates], in the order of each record's candidates."""

    recommender: list[np.ndarray]
    titles: list[np.ndarray]

    def fused(self, weight: float) -> list[np.ndarray]:
        """Return s(u, i)."""
        return [(1 - weight) * r + weight * t for r, t in zip(self.recommender, self.titles, strict=True)]


def standardise(records: pl.DataFrame, recommender: pl.DataFrame, titles: pl.DataFrame) -> Standardised:
    """Return the scores of two rankings of the same records."""
    return Standardised(_standardised(records, recommender), _standardised(records, titles))


def choose_weight(records: pl.DataFrame, scores: Standardised) -> dict[str, float]:
    """Return the weight of titles with the best NDCG@10 on development records, and that value."""
    truth = true_columns(records)
    values = {weight: mean_ndcg(padded(scores.fused(weight)), truth) for weight in WEIGHTS}
    best = max(WEIGHTS, key=lambda weight: values[weight])
    return {
        METRIC: round(values[best], 6),
        "title_weight": best,
        **{f"{METRIC}_at_{w}": round(values[w], 6) for w in (0.0, 1.0)},
    }


def _standardised(records: pl.DataFrame, rankings: pl.DataFrame) -> list[np.ndarray]:
    """Return z of each record's candidates in their order; a method that finds all alike says nothing."""
    scored = rankings.filter(pl.col("kind") == "scored").select("record_id", pl.col("item_ids", "scores"))
    scored = scored.explode("item_ids", "scores").rename({"item_ids": "item_id"})
    deviation, centred = (
        pl.col("scores").std(ddof=0).over("record_id"),
        pl.col("scores") - pl.col("scores").mean().over("record_id"),
    )
    scored = scored.with_columns(z=pl.when(deviation > 0).then(centred / deviation).otherwise(0.0))
    candidates = records.select("record_id", item_id="candidate_ids").explode("item_id")
    joined = candidates.join(scored, on=("record_id", "item_id"), how="left", validate="1:1", maintain_order="left")
    if joined["z"].null_count():
        raise InputError(f"a ranking lacks {joined['z'].null_count()} candidates of these records: rank them again")
    lists = joined.group_by("record_id", maintain_order=True).agg("z")["z"]
    return [np.array(values) for values in lists.to_list()]
