"""A teacher that is no LLM: several models of this project, fitted on the training rows and no others.

    z_score          score = mean over members of (s - mean of s) / deviation of s, over all items of a row
    reciprocal_rank  score = mean over members of 1 / (60 + rank)             (Cormack et al., SIGIR 2009)
The latter are standardised too, so that a distance (listing.py) means the same of both. z_score is for members whose
scores are spread alike: those of a counting model are 0 or far out, and drown the others.

With `folds` above 1 the readers are dealt into folds, and the rows of a fold are ranked by members that learned from
the other folds alone: a member that has learned a row by heart has nothing to teach about it but its answer. Item
vectors stand side by side, those of every member and fold, each of length 1.
Shapes: R rows, U histories, N items."""

from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import rankdata

from kitrec.core.randomness import derived_seed, generator
from kitrec.distillation.alignment import Rows
from kitrec.distillation.ensemble_members import Member, member
from kitrec.distillation.item_embeddings import Embeddings
from kitrec.distillation.params import Ensemble
from kitrec.distillation.prefixes import Places
from kitrec.distillation.student_training import Teacher
from kitrec.distillation.topk_lists import listed, without_read
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.title_embeddings import l2_normalize
from kitrec.recommenders.data.vocabulary import Vocabulary

RANK_OFFSET = 60


class Ensembled:
    """Fitted members, fold by fold."""

    def __init__(self, p: Ensemble, folds: np.ndarray, members: list[list[Member]]) -> None:
        self.p, self.folds, self.members = p, folds, members

    def scores(self, histories: Sequences) -> np.ndarray:
        """[U, N] by all members of all folds, for readers whose next item nobody learned from."""
        scores = combined([own.scores(histories) for each in self.members for own in each], self.p.combine)
        return without_read(scores, histories)

    def lists(self, rows: Rows, vocabulary: Vocabulary) -> pl.DataFrame:
        """A TEACHER table of every row, ranked by the members of its reader's fold."""

        def score(places: Places, histories: Sequences) -> np.ndarray:
            found = np.empty((len(places), len(vocabulary)), dtype=np.float32)
            folds = self.folds[places.users]
            for number in np.unique(folds):
                own = np.flatnonzero(folds == number)
                told = [each.scores(histories.take(own)) for each in self.members[number]]
                found[own] = combined(told, self.p.combine)
            return found

        return listed(rows, vocabulary, self.p.length, score)

    def embeddings(self, vocabulary: Vocabulary) -> Embeddings | None:
        """What every member of every fold knows of each item, side by side."""
        found = [own.vectors() for each in self.members for own in each]
        known = [l2_normalize(own) for own in found if own is not None]
        return Embeddings(vocabulary.item_ids, np.concatenate(known, axis=1)) if known else None


def fit_ensemble(p: Ensemble, rows: Rows, vocabulary: Vocabulary, seed: int, work: Path) -> Ensembled:
    """Fit the members of every fold on the readers of the others (of one fold: on all)."""
    sequences, folds = rows.sequences, _folds(rows, p.folds, seed)
    members = []
    for number in range(p.folds):
        learned = sequences.take(np.flatnonzero((folds != number) | (p.folds == 1)))
        members.append(
            [
                member(own, learned, len(vocabulary), _seed(seed, name, number), work / f"{name}-{number}")
                for name, own in p.members.items()
            ]
        )
    return Ensembled(p, folds, members)


def teach(p: Ensemble, rows: Rows, vocabulary: Vocabulary, seed: int, work: Path) -> Teacher:
    """Fit the members and let them rank every training row."""
    fitted = fit_ensemble(p, rows, vocabulary, seed, work)
    return Teacher(fitted.lists(rows, vocabulary), fitted.embeddings(vocabulary))


def _folds(rows: Rows, count: int, seed: int) -> np.ndarray:
    """[sequences] the fold of each sequence's reader; all sequences of a reader are in one."""
    readers = rows.who["user_id"].rank("dense").to_numpy().astype(np.int64) - 1
    dealt: np.ndarray = generator(seed, "distill folds").permutation(readers.max() + 1) % count
    return dealt[readers]


def _seed(seed: int, name: str, fold: int) -> int:
    return derived_seed(seed, "distill member", name, fold)


def combined(scores: list[np.ndarray], how: str) -> np.ndarray:
    """[R, N] of each member's [R, N]."""
    if how == "z_score":
        found: np.ndarray = np.mean([_standard(own) for own in scores], axis=0)
        return found
    return _standard(np.mean([1 / (RANK_OFFSET + rankdata(-own, axis=1)) for own in scores], axis=0))


def _standard(scores: np.ndarray) -> np.ndarray:
    deviation = scores.std(axis=1, keepdims=True)
    found: np.ndarray = (scores - scores.mean(axis=1, keepdims=True)) / np.where(deviation > 0, deviation, 1)
    return found
