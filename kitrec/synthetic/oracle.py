"""Reference rankers of a synthetic world: the best possible ones, and the baselines that every model should beat.

* `oracle` knows all latent variables: it ranks by U(u, i, t) at the time of the held-out choice (histories.py).
* `oracle_text` knows the world's theme words and strengths, but observes text alone. With a uniform prior over all
  sets F of favourites, m(F, i) = |F ∩ themes_i| and w_d(F) = Σ_{i in domain d} exp(s m(F, i)):
      P(F | history)  ∝  Π_{h in history with text} exp(s m(F, h)) / w_{d(h)}(F)
      score(i)        =  log Σ_F P(F | history) exp(s m(F, i)) / w_target(F)
  an item without text counts as an average one. Community, popularity and recency are unknown to it.
* `popularity` counts the training users' interactions; `random` scores all candidates equally.

Shapes: H sets of favourites, K themes, R records, C candidates."""

from itertools import combinations

import numpy as np
import polars as pl
from scipy.special import logsumexp

from kitrec.synthetic.histories import static_utility, utility_at
from kitrec.synthetic.params import World

UNRELEASED = -1e9


def oracle_scores(
    world: World, records: pl.DataFrame, item_truth: pl.DataFrame, user_truth: pl.DataFrame
) -> list[list[float]]:
    """Return U(u, i, t) of every candidate of every record, [R][C]."""
    users = {row["user_id"]: row for row in user_truth.iter_rows(named=True)}
    latents_by_target = {target: item_truth.filter(pl.col("domain") == target) for target in records["target"].unique()}
    row_of = {target: {i: k for k, i in enumerate(latents["item_id"])} for target, latents in latents_by_target.items()}
    scores = []
    for record in records.iter_rows(named=True):
        user, latents = users[record["user_id"]], latents_by_target[record["target"]]
        candidates = latents[[row_of[record["target"]][i] for i in record["candidate_ids"]]]
        static = static_utility(world, np.array([user["favourites"]]), np.array([user["community"]]), candidates)
        value = utility_at(world, static, candidates, np.array([record["gt_time"]]))[0]
        scores.append(np.maximum(value, UNRELEASED).tolist())
    return scores


def text_oracle_scores(
    world: World, records: pl.DataFrame, items: pl.DataFrame, item_truth: pl.DataFrame
) -> list[list[float]]:
    """Return the Bayes-optimal scores from text alone, [R][C]."""
    posterior = TastePosterior(world, items, item_truth)
    return [posterior.scores(record) for record in records.iter_rows(named=True)]


class TastePosterior:
    """Log choice probability of every item under every set of favourites: log exp(s m(F, i)) / w_d(F), [items, H]."""

    def __init__(self, world: World, items: pl.DataFrame, item_truth: pl.DataFrame) -> None:
        sets = np.array(list(combinations(range(world.themes), world.favourites)))
        member = np.zeros((len(sets), world.themes))
        np.put_along_axis(member, sets, 1.0, axis=1)
        joined = items.select("item_id", "has_metadata").join(item_truth, on="item_id", maintain_order="left")
        themes = np.array(joined["themes"].to_list())
        log_choice = world.theme_strength * (member[:, themes[:, 0]] + member[:, themes[:, 1]]).T
        self._row = {item: k for k, item in enumerate(joined["item_id"])}
        shown = joined["has_metadata"].to_numpy()
        for domain in joined["domain"].unique(maintain_order=True):
            in_domain = (joined["domain"] == domain).to_numpy()
            log_choice[in_domain] -= logsumexp(log_choice[in_domain], axis=0)
            log_choice[in_domain & ~shown] = -np.log(in_domain.sum())
        self._log_choice = log_choice

    def scores(self, record: dict[str, list[str]]) -> list[float]:
        """Return log P(candidate | text of the histories), up to a constant of the record."""
        history = [self._row[i] for i in [*record["source_items"], *record["target_items"]]]
        log_posterior = self._log_choice[history].sum(axis=0)
        log_posterior -= logsumexp(log_posterior)
        candidates = [self._row[i] for i in record["candidate_ids"]]
        return logsumexp(log_posterior + self._log_choice[candidates], axis=1).tolist()


def popularity_scores(records: pl.DataFrame, training_interactions: pl.DataFrame) -> list[list[float]]:
    """Return the number of training interactions of every candidate, [R][C]; unseen ones count 0."""
    counts = dict(training_interactions["item_id"].value_counts().iter_rows())
    return [[float(counts.get(item, 0)) for item in ids] for ids in records["candidate_ids"].to_list()]


def random_scores(records: pl.DataFrame) -> list[list[float]]:
    """Return equal scores: in expectation over ties exactly the mean of random orders."""
    return [[0.0] * len(ids) for ids in records["candidate_ids"].to_list()]
