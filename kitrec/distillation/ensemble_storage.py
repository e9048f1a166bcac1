"""Storage of an ensemble: its members as folders, and the stored ensemble, which ranks candidates as any stored model.

members/<fold>-<name>   a model folder as kitrec/recommenders stores it"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kitrec.core.errors import InputError
from kitrec.distillation.ensemble import FittedEnsemble, combine_scores
from kitrec.distillation.ensemble_members import EnsembleMember, as_member
from kitrec.distillation.params import Ensemble
from kitrec.distillation.topk_lists import CHUNK
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.storage import StoredModel, load_model, save_model


@dataclass(frozen=True)
class StoredEnsemble:
    """All members of all folds, for users outside the training rows."""

    members: list[EnsembleMember]
    combine: str
    vocabulary: Vocabulary
    popularity: np.ndarray

    def candidate_scores(self, histories: Sequences, candidates: np.ndarray) -> np.ndarray:
        """Return [users, C] scores of each user's own candidates."""
        chunks = []
        for start in range(0, len(histories), CHUNK):
            part = np.arange(start, min(start + CHUNK, len(histories)))
            chunk = histories.take(part)
            scores = combine_scores([member.scores(chunk) for member in self.members], self.combine)
            chunks.append(np.take_along_axis(scores, candidates[part] - 1, axis=1))
        return np.concatenate(chunks)


def save_members(ensemble: FittedEnsemble, vocabulary: Vocabulary, training: Sequences, to: Path) -> None:
    """Write every member of every fold."""
    popularity = np.bincount(training.items, minlength=len(vocabulary) + 1).astype(np.float32)
    for fold, members in enumerate(ensemble.members):
        for (name, p), member in zip(ensemble.p.members.items(), members, strict=True):
            save_model(StoredModel(member.model, vocabulary, popularity, {}), p.model, to / f"{fold}-{name}")


def load_ensemble(folder: Path, p: Ensemble) -> StoredEnsemble:
    """Load the members that `save_members` wrote."""
    folders = [folder / f"{fold}-{name}" for fold in range(p.folds) for name in p.members]
    if missing := [str(path) for path in folders if not path.is_dir()]:
        raise InputError(f"{', '.join(missing)}: no such member; `dvc repro make_teacher@ensemble` makes them")
    stored = [load_model(path) for path in folders]
    members = [as_member(model.model) for model in stored]
    return StoredEnsemble(members, p.combine, stored[0].vocabulary, stored[0].popularity)
