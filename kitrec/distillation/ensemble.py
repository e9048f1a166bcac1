"""An ensemble teacher: several models of this project, fitted on the training rows alone.

    z_score          score = mean over members of (s - mean of s) / deviation of s, over all items of a row
    reciprocal_rank  score = mean over members of 1 / (60 + rank)             (Cormack et al., SIGIR 2009)
Reciprocal ranks are standardised as well, so that a distance (topk_lists.py) means the same for both. z_score is for
members with similar score distributions: a counting model's scores are 0 or far out, and dominate the others.

With `folds` above 1 the rows of a fold are ranked by members fitted on the other folds (folds.py). Item vectors of all
members and folds are concatenated, each normalised to length 1.
Shapes: R rows, U histories, N items."""

from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import rankdata

from kitrec.core.randomness import derived_seed
from kitrec.distillation.alignment import KeyedSequences
from kitrec.distillation.ensemble_members import EnsembleMember, fit_member
from kitrec.distillation.folds import assign_folds, learned_rows
from kitrec.distillation.item_embeddings import ItemEmbeddings
from kitrec.distillation.params import Ensemble
from kitrec.distillation.topk_lists import Prefixes, mask_history, topk_lists
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.title_embeddings import l2_normalize
from kitrec.recommenders.data.vocabulary import Vocabulary

RANK_OFFSET = 60


class FittedEnsemble:
    """Fitted members, fold by fold; `folds` [sequences] is the fold of each sequence's user."""

    def __init__(self, p: Ensemble, folds: np.ndarray, members: list[list[EnsembleMember]]) -> None:
        self.p, self.folds, self.members = p, folds, members

    def scores(self, histories: Sequences) -> np.ndarray:
        """Return [U, N] scores by all members of all folds, for users outside the training rows."""
        members = [member for fold in self.members for member in fold]
        scores = combine_scores([member.scores(histories) for member in members], self.p.combine)
        return mask_history(scores, histories)

    def lists(self, rows: KeyedSequences, vocabulary: Vocabulary) -> pl.DataFrame:
        """Return a TEACHER_LISTS table: each row is ranked by the members of its user's fold."""

        def score(prefixes: Prefixes, histories: Sequences) -> np.ndarray:
            scores = np.empty((len(prefixes), len(vocabulary)), dtype=np.float32)
            folds = self.folds[prefixes.users]
            for fold in np.unique(folds):
                part = np.flatnonzero(folds == fold)
                member_scores = [member.scores(histories.take(part)) for member in self.members[fold]]
                scores[part] = combine_scores(member_scores, self.p.combine)
            return scores

        return topk_lists(rows, vocabulary, self.p.list_length, score)

    def embeddings(self, vocabulary: Vocabulary) -> ItemEmbeddings | None:
        """Concatenate the item vectors of all members and folds; None if no member has any."""
        vectors = [member.item_vectors() for fold in self.members for member in fold]
        unit_vectors = [l2_normalize(table) for table in vectors if table is not None]
        return ItemEmbeddings(vocabulary.item_ids, np.concatenate(unit_vectors, axis=1)) if unit_vectors else None


def fit_ensemble(p: Ensemble, rows: KeyedSequences, vocabulary: Vocabulary, seed: int, work: Path) -> FittedEnsemble:
    """Fit the members of every fold on the users of the other folds (with one fold: on all users)."""
    sequences, folds = rows.sequences, assign_folds(rows.keys["user_id"], p.folds, seed)
    members = []
    for fold in range(p.folds):
        training = sequences.take(np.flatnonzero(learned_rows(folds, fold, p.folds)))
        members.append(
            [
                fit_member(
                    params,
                    training,
                    len(vocabulary),
                    derived_seed(seed, "distill member", name, fold),
                    work / f"{name}-{fold}",
                )
                for name, params in p.members.items()
            ]
        )
    return FittedEnsemble(p, folds, members)


def combine_scores(scores: list[np.ndarray], how: str) -> np.ndarray:
    """Combine the members' [R, N] scores into one [R, N]."""
    if how == "z_score":
        combined: np.ndarray = np.mean([_standardise(member) for member in scores], axis=0)
        return combined
    return _standardise(np.mean([1 / (RANK_OFFSET + rankdata(-member, axis=1)) for member in scores], axis=0))


def _standardise(scores: np.ndarray) -> np.ndarray:
    deviation = scores.std(axis=1, keepdims=True)
    standardised: np.ndarray = (scores - scores.mean(axis=1, keepdims=True)) / np.where(deviation > 0, deviation, 1)
    return standardised
