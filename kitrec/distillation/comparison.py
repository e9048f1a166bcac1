"""Comparison of a distilled student with its baseline: the same users and the same seeds, so differences are in pairs.

    d_ru                    difference of seed r and user u; a user's records (movies and music) are one unit
    p_permutation           users alone are random: what these trainings are worth (core/mean_tests.py)
    p_users_and_trainings   other seeds could have been drawn too: what the teacher is worth; with its 95 % interval
Compared among items of the target domain and among the candidates of the test records, ties by expectation. Of one seed
the variance between trainings is unknown: there is no second p, and the interval is of users alone.
Shapes: R seeds, U users, N rows (a held-out item each)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from kitrec.core.mean_tests import users_alone, users_and_trainings
from kitrec.core.randomness import generator
from kitrec.core.ranking_metrics import expected_metric, mean_metrics, with_recall
from kitrec.recommenders.data.user_histories import History, ground_truth_items, histories, user_targets
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models.interface import Recommender
from kitrec.recommenders.sequence_training import Validation
from kitrec.recommenders.storage import StoredModel

ON_CANDIDATES = ("ndcg@10", "hit@1")
PERMUTATIONS = 10_000
Ranks = Sequence[tuple[np.ndarray, np.ndarray]]  # of each seed: items better than the held-out one, and equal to it


@dataclass(frozen=True)
class StudentComparison:
    baseline: float
    distilled: float
    relative_gain: float | None  # of the means; None if the baseline has no hit
    difference: float
    low: float
    high: float
    p_permutation: float
    p_users_and_trainings: float | None
    gain_by_seed: list[float | None]  # relative; None if the baseline of that seed has no hit
    users: int
    trainings: int

    @property
    def p(self) -> float:
        """The p over both sources where there are two, else over users."""
        return self.p_permutation if self.p_users_and_trainings is None else self.p_users_and_trainings

    def metrics(self) -> dict[str, Any]:
        """Return the rounded numbers for a metrics file; p-values by significant digits, they may be far below 1e-6."""
        numbers = {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}
        gains = [gain if gain is None else round(gain, 4) for gain in self.gain_by_seed]
        both = self.p_users_and_trainings
        return numbers | {
            "p_permutation": float(f"{self.p_permutation:.3g}"),
            "p_users_and_trainings": both if both is None else float(f"{both:.3g}"),
            "gain_by_seed": gains,
        }


def user_ndcg(model: Recommender, test: Validation, depth: int) -> np.ndarray:
    """Return NDCG@depth of each row [N]."""
    return expected_metric(f"ndcg@{depth}", *test.ranks(model))


def compare(
    baseline: np.ndarray, distilled: np.ndarray, *, owners: Sequence[str] | None = None, seed: int = 0
) -> StudentComparison:
    """Compare a metric of both students, [R, N]; `owners` [N] are the rows' users, one each by default."""
    owners = [str(row) for row in range(baseline.shape[1])] if owners is None else owners
    before, after = (_by_user(values, owners) for values in (baseline, distilled))
    differences = (after - before)[:, :, None]
    alone = users_alone(differences.mean(axis=0), PERMUTATIONS, generator(seed, "sign flips of students"))
    both = users_and_trainings(differences) if len(differences) > 1 else None
    tested = both or alone
    means = zip(before.mean(axis=1).tolist(), after.mean(axis=1).tolist(), strict=True)
    return StudentComparison(
        float(before.mean()),
        float(after.mean()),
        float(after.mean() / before.mean() - 1) if before.any() else None,
        float(tested.difference[0]),
        float(tested.low[0]),
        float(tested.high[0]),
        float(alone.p[0]),
        float(both.p[0]) if both else None,
        [with_teacher / without - 1 if without else None for without, with_teacher in means],
        *differences.shape[1::-1],
    )


def compare_students(
    baseline: Sequence[StoredModel],
    distilled: Sequence[StoredModel],
    test: Validation,
    depth: int,
    cutoffs: Sequence[int],
    *,
    owners: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare stored students, one model per seed: NDCG by user, and the mean metrics of both at all cutoffs."""
    ranks = {
        name: [test.ranks(stored.model) for stored in models]
        for name, models in (("baseline", baseline), ("distilled", distilled))
    }
    before, after = (_metric(f"ndcg@{depth}", by_seed) for by_seed in ranks.values())
    metrics = {name: _mean_metrics(by_seed, cutoffs) for name, by_seed in ranks.items()}
    return {f"ndcg@{depth}": compare(before, after, owners=owners, seed=seed).metrics(), **metrics}


def compare_on_candidates(
    baseline: Sequence[list[list[float]]], distilled: Sequence[list[list[float]]], records: pl.DataFrame, seed: int
) -> dict[str, Any]:
    """Compare students, one list of the candidates' scores per record and seed, in the metrics of the candidates."""
    before, after = ([candidate_ranks(records, scores) for scores in by_seed] for by_seed in (baseline, distilled))
    owners = records["user_id"].to_list()
    compared = {
        metric: compare(_metric(metric, before), _metric(metric, after), owners=owners, seed=seed)
        for metric in ON_CANDIDATES
    }
    return {metric: comparison.metrics() for metric, comparison in compared.items()}


def candidate_ranks(records: pl.DataFrame, scores: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Return how many candidates are scored better than each record's held-out item, and how many equal to it."""
    lists = pl.Series("score", scores, dtype=pl.List(pl.Float64))
    rows = records.select("candidate_ids", "gt_item_id").with_columns(lists).with_row_index("row")
    score, is_truth = pl.col("score"), pl.col("candidate_ids") == pl.col("gt_item_id")
    truth = score.filter(is_truth).first()
    counted = (
        rows.explode("candidate_ids", "score")
        .group_by("row", maintain_order=True)
        .agg(better=(score > truth).sum(), equal=(score == truth).sum())
    )
    return counted["better"].to_numpy().astype(np.int64), counted["equal"].to_numpy().astype(np.int64)


def users_of_questions(interactions: pl.DataFrame, history: History, vocabulary: Vocabulary) -> list[str]:
    """Return the user of each row of `development_validation`: of those with a known history and held-out item."""
    users = user_targets(interactions)
    lengths = histories(interactions, users, history, vocabulary).lengths
    known = (lengths > 0) & (ground_truth_items(interactions, users, vocabulary) > 0)
    return users.filter(pl.Series(known))["user_id"].to_list()


def _by_user(values: np.ndarray, owners: Sequence[str]) -> np.ndarray:
    """Return the sums of rows [R, N] by user [R, U], scaled so that their mean is that of the rows."""
    _, owner = np.unique(owners, return_inverse=True)
    sums = np.stack([np.bincount(owner, weights=row) for row in values])
    return sums * (sums.shape[1] / len(owner))


def _metric(name: str, ranks: Ranks) -> np.ndarray:
    """Return a metric of each seed and row, [R, N]."""
    return np.stack([expected_metric(name, *rank) for rank in ranks])


def _mean_metrics(ranks: Ranks, cutoffs: Sequence[int]) -> dict[str, float]:
    """Return the mean over the seeds; with one relevant item per user, Hit is Recall."""
    by_seed = [
        {name: value for k in cutoffs for name, value in mean_metrics(better, equal, k).items()}
        for better, equal in ranks
    ]
    means = {name: round(float(np.mean([metrics[name] for metrics in by_seed])), 6) for name in by_seed[0]}
    return with_recall(means)
