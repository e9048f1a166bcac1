"""What the best possible rankers of a synthetic world would score, and the floors below every model.

* `oracle` knows user and item truth: it ranks by U(u, i, t) at the time of the held-out choice (histories.py).
* `oracle_text` knows the world's map and strengths, but sees only what text shows. With all sets F of favourites
  equally likely, m(F, i) = |F ∩ themes_i| and w_d(F) = Σ_{i in domain d} exp(s m(F, i)):
      P(F | history)  ∝  Π_{h in history with text} exp(s m(F, h)) / w_{d(h)}(F)
      score(i)        =  log Σ_F P(F | history) exp(s m(F, i)) / w_target(F)
  an item without text counts as an average one. Community, popularity and recency stay unknown to it.
* `popularity` counts the training users' interactions; `random` ties all candidates.

Shapes: H sets of favourites, K themes, R records, C candidates."""

from itertools import combinations

import numpy as np
import polars as pl
from scipy.special import logsumexp

from kitrec.core.domains import SOURCE
from kitrec.synthetic.histories import static_utility, utility_at
from kitrec.synthetic.params import World

UNRELEASED = -1e9


def oracle_scores(
    world: World, records: pl.DataFrame, item_truth: pl.DataFrame, user_truth: pl.DataFrame
) -> list[list[float]]:
    """U(u, i, t) of every candidate of every record, [R][C]."""
    people = {row["user_id"]: row for row in user_truth.iter_rows(named=True)}
    truth_of = {target: item_truth.filter(pl.col("domain") == target) for target in records["target"].unique()}
    column = {target: {i: k for k, i in enumerate(truth["item_id"])} for target, truth in truth_of.items()}
    scores = []
    for record in records.iter_rows(named=True):
        person, truth = people[record["user_id"]], truth_of[record["target"]]
        here = truth[[column[record["target"]][i] for i in record["candidate_ids"]]]
        fixed = static_utility(world, np.array([person["favourites"]]), np.array([person["community"]]), here)
        value = utility_at(world, fixed, here, np.array([record["gt_time"]]))[0]
        scores.append(np.maximum(value, UNRELEASED).tolist())
    return scores


def text_oracle_scores(
    world: World, records: pl.DataFrame, items: pl.DataFrame, item_truth: pl.DataFrame
) -> list[list[float]]:
    """The Bayes ranking from text alone, [R][C]."""
    beliefs = Beliefs(world, items, item_truth)
    return [beliefs.scores(record) for record in records.iter_rows(named=True)]


class Beliefs:
    """All sets of favourites, and what each makes of every item: exp(s m(F, i)) / w_d(F) as log, [items, H]."""

    def __init__(self, world: World, items: pl.DataFrame, item_truth: pl.DataFrame) -> None:
        sets = np.array(list(combinations(range(world.themes), world.favourites)))
        member = np.zeros((len(sets), world.themes))
        np.put_along_axis(member, sets, 1.0, axis=1)
        joined = items.select("item_id", "has_metadata").join(item_truth, on="item_id", maintain_order="left")
        themes = np.array(joined["themes"].to_list())
        log_appeal = world.theme_strength * (member[:, themes[:, 0]] + member[:, themes[:, 1]]).T
        self._row = {item: k for k, item in enumerate(joined["item_id"])}
        shown = joined["has_metadata"].to_numpy()
        for domain in joined["domain"].unique(maintain_order=True):
            own = (joined["domain"] == domain).to_numpy()
            log_appeal[own] -= logsumexp(log_appeal[own], axis=0)
            log_appeal[own & ~shown] = -np.log(own.sum())
        self._log_appeal = log_appeal

    def scores(self, record: dict[str, list[str]]) -> list[float]:
        """log P(candidate | text of the histories), up to a constant of the record."""
        history = [self._row[i] for i in [*record["source_items"], *record["target_items"]]]
        belief = self._log_appeal[history].sum(axis=0)
        belief -= logsumexp(belief)
        candidates = [self._row[i] for i in record["candidate_ids"]]
        return logsumexp(belief + self._log_appeal[candidates], axis=1).tolist()


def popularity_scores(records: pl.DataFrame, training_interactions: pl.DataFrame) -> list[list[float]]:
    """Training interactions of every candidate, [R][C]; unseen ones count 0."""
    counts = dict(training_interactions.filter(pl.col("domain") != SOURCE)["item_id"].value_counts().iter_rows())
    return [[float(counts.get(item, 0)) for item in ids] for ids in records["candidate_ids"].to_list()]


def random_scores(records: pl.DataFrame) -> list[list[float]]:
    """The same score for all: under tie expectation exactly a random order's mean."""
    return [[0.0] * len(ids) for ids in records["candidate_ids"].to_list()]
