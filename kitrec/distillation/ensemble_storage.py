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
from kitrec.recommenders import cross_domain_storage as crossdomain
from kitrec.recommenders import sequence_storage
from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models.cross_domain_model import Ranker
from kitrec.recommenders.models.sequence_model import Recommender
from kitrec.recommenders.params import SequenceMethod


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
            folder = to / f"{fold}-{name}"
            if isinstance(p, SequenceMethod):
                assert isinstance(member.model, Recommender)
                sequence_storage.save_model(
                    sequence_storage.Stored(member.model, vocabulary, popularity, {}), p.model, ItemFeatures(), folder
                )
            else:
                assert isinstance(member.model, Ranker)
                crossdomain.save_model(crossdomain.Stored(member.model, vocabulary, popularity, {}), p.model, folder)


def load_ensemble(folder: Path, p: Ensemble) -> StoredEnsemble:
    """Load the members that `save_members` wrote."""
    folders = [folder / f"{fold}-{name}" for fold in range(p.folds) for name in p.members]
    if missing := [str(path) for path in folders if not path.is_dir()]:
        raise InputError(f"{', '.join(missing)}: no such member; `dvc repro make_teacher@ensemble` makes them")
    stored = [
        (crossdomain if crossdomain.is_crossdomain(path) else sequence_storage).load_model(path) for path in folders
    ]
    members = [as_member(model.model) for model in stored]
    return StoredEnsemble(members, p.combine, stored[0].vocabulary, stored[0].popularity)
