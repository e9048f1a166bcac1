"""The members of an ensemble as folders, and the ensemble read back: it ranks candidates as any stored model does.

members/<fold>-<name>   a model of kitrec/idrec or kitrec/crossdomain, as those store theirs"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kitrec.core.errors import InputError
from kitrec.distillation.ensemble import Ensembled, combined
from kitrec.distillation.ensemble_members import Member, member_of
from kitrec.distillation.params import Ensemble
from kitrec.distillation.topk_lists import CHUNK
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.storage import StoredModel, load_model, save_model


@dataclass(frozen=True)
class StoredEnsemble:
    """All members of all folds, for readers from whom none of them learned."""

    members: list[Member]
    combine: str
    vocabulary: Vocabulary
    popularity: np.ndarray

    def candidate_scores(self, histories: Sequences, candidates: np.ndarray) -> np.ndarray:
        """[readers, C] scores of each reader's own candidates."""
        found = []
        for start in range(0, len(histories), CHUNK):
            part = np.arange(start, min(start + CHUNK, len(histories)))
            own = histories.take(part)
            scores = combined([each.scores(own) for each in self.members], self.combine)
            found.append(np.take_along_axis(scores, candidates[part] - 1, axis=1))
        return np.concatenate(found)


def save_members(fitted: Ensembled, vocabulary: Vocabulary, learned: Sequences, to: Path) -> None:
    """Write every member of every fold."""
    popularity = np.bincount(learned.items, minlength=len(vocabulary) + 1).astype(np.float32)
    for fold, members in enumerate(fitted.members):
        for (name, p), own in zip(fitted.p.members.items(), members, strict=True):
            save_model(StoredModel(own.model, vocabulary, popularity, {}), p.model, to / f"{fold}-{name}")


def load_ensemble(folder: Path, p: Ensemble) -> StoredEnsemble:
    """The members that `save_members` wrote."""
    folders = [folder / f"{fold}-{name}" for fold in range(p.folds) for name in p.members]
    if missing := [str(own) for own in folders if not own.is_dir()]:
        raise InputError(f"{', '.join(missing)}: no such member; `dvc repro make_teacher@ensemble` makes them")
    found = [load_model(own) for own in folders]
    return StoredEnsemble([member_of(own.model) for own in found], p.combine, found[0].vocabulary, found[0].popularity)
