"""Students from the same seeds: one alone, others each with a teacher.

All begin with the same weights and see the same batches, masks, dropout and negatives; the best epoch of each is
chosen by the validation, at the same depth. A training that broke off goes on where it was, as `idrec.fitting` does;
its seconds are counted over all its starts."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.core.randomness import derived_seed
from kitrec.distillation import auxiliary_losses, losses
from kitrec.distillation.alignment import AlignedLists, KeyedSequences, align
from kitrec.distillation.item_embeddings import ItemEmbeddings, embedding_table
from kitrec.distillation.item_vector_transfer import add_projection, inject, item_table, merge_projection
from kitrec.distillation.params import StudentConfig
from kitrec.distillation.selection_policies import build_policy
from kitrec.recommenders.data.target_batches import trainable_users
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models.sequence_model import Recommender
from kitrec.recommenders.models.sequence_registry import build
from kitrec.recommenders.sequence_fitting import Fitted, carry_on
from kitrec.recommenders.sequence_training import Extra, Progress, Validation, Watcher, begin, train
from kitrec.training.distributed import team


@dataclass(frozen=True)
class Teacher:
    lists: pl.DataFrame  # a TEACHER_LISTS table
    embeddings: ItemEmbeddings | None


@dataclass(frozen=True)
class Student:
    """A student with its best weights: a plain model, whoever taught it."""

    fitted: Fitted[Recommender]
    seconds: float
    told: dict[str, int]  # how its teacher fitted the rows; empty without one


@dataclass(frozen=True)
class Students:
    """All that the two students of a seed have in common."""

    p: StudentConfig
    rows: KeyedSequences
    vocabulary: Vocabulary
    validation: Validation
    seed: int

    def baseline(self, work: Path, told: Callable[[Progress], None]) -> Student:
        """The student without a teacher; `told` hears of every epoch."""
        model = self._model()
        return self._trained(model, self._robust(model), {}, work, told)

    def distilled(self, teacher: Teacher, work: Path, told: Callable[[Progress], None]) -> Student:
        """The student with a teacher."""
        lists = align(teacher.lists, self.rows, self.vocabulary, self.p.ranking.topk, self.p.missing)
        model = self._model()
        parts = [*self._robust(model), *self._ranked(model, lists), *self._embedded(model, teacher.embeddings)]
        described = [] if teacher.embeddings is None else teacher.embeddings.item_ids
        lacking = {"items without a teacher's vector": len(set(self.vocabulary.item_ids) - set(described))}
        return self._trained(model, parts, lists.counts | lacking, work, told)

    def _model(self) -> Recommender:
        with torch.random.fork_rng():
            torch.manual_seed(derived_seed(self.seed, "idrec weights"))
            return build(self.p.student.model, len(self.vocabulary))

    def _trained(
        self,
        model: Recommender,
        parts: list[Extra],
        lists_told: dict[str, int],
        work: Path,
        told: Callable[[Progress], None],
    ) -> Student:
        own, validation = team(), replace(self.validation, depth=self.p.depth)
        training = begin(model, self.p.student.training, own)
        training.extra = auxiliary_losses.combine_losses(parts)
        clock = _Clock(work / "seconds.json")

        def learn(keep: Watcher) -> None:
            course, loss = self.p.student.training, self.p.student.loss
            train(training, self.rows.sequences, validation, course, loss, self.seed, keep)

        def heard(progress: Progress) -> None:
            clock.note()
            told(progress)

        fitted = carry_on(training, learn, work, heard)
        return Student(Fitted(merge_projection(fitted.model), fitted.progress, fitted.last), clock.seconds, lists_told)

    def _robust(self, model: Recommender) -> list[Extra]:
        return [auxiliary_losses.DROSLoss(model, self._share(), self.p.dros)] if self.p.dros.alpha else []

    def _ranked(self, model: Recommender, lists: AlignedLists) -> list[Extra]:
        if not self.p.ranking.weight:
            return []
        chosen = build_policy(self.p.selection, lists, self.seed)
        useful = trainable_users(model, self.rows.sequences)  # the loop numbers those that teach
        own = self.rows.sequences.take(useful)
        return [
            auxiliary_losses.RankingDistillationLoss(
                model, own, _of(lists, self.rows, useful), chosen, self._share(), self.p, self.seed
            )
        ]

    def _embedded(self, model: Recommender, vectors: ItemEmbeddings | None) -> list[Extra]:
        if self.p.embedding.form == "off" or (vectors is None and self.p.missing == "mask"):
            return []
        if vectors is None:
            raise InputError("embedding.form: the teacher has no item vectors; set form: off, or export them")
        lacking = sorted(set(self.vocabulary.item_ids) - set(vectors.item_ids))
        if lacking and self.p.missing == "refuse":
            raise InputError(
                f"the teacher has no vector of {len(lacking)} of the student's {len(self.vocabulary)} items, "
                f"{lacking[0]} among them: export them, or set missing: mask"
            )
        table = embedding_table(vectors, self.vocabulary, item_table(model).num_embeddings)
        if self.p.embedding.form == "injection":
            inject(model, table, self.p.embedding.weight, self.seed)
            return []
        return [
            auxiliary_losses.EmbeddingDistillationLoss(
                model, add_projection(model, table, self.seed), self.p.embedding.weight
            )
        ]

    def _share(self) -> torch.Tensor:
        """Popularity of next items, as DROS weighs by it."""
        own = self.rows.sequences
        first = np.zeros(len(own.items), dtype=bool)
        first[own.starts[:-1][own.lengths > 0]] = True
        counts = np.bincount(own.items[~first] - 1, minlength=len(self.vocabulary))
        return losses.popularity_weights(torch.from_numpy(counts).float(), self.p.dros.power).to(team().device)


def _of(lists: AlignedLists, rows: KeyedSequences, which: np.ndarray) -> AlignedLists:
    """The lists of some of the sequences."""
    numbered = type(rows.sequences)(np.arange(len(rows.sequences.items)), rows.sequences.starts).take(which)
    return AlignedLists(lists.list_of_position[numbered.items], lists.items, lists.distances, lists.counts)


class _Clock:
    """Seconds of a training, over all its starts."""

    def __init__(self, path: Path) -> None:
        self._path, self._began = path, time.perf_counter()
        self._before = files.read_json(path) if path.exists() else 0.0

    @property
    def seconds(self) -> float:
        return self._before + time.perf_counter() - self._began

    def note(self) -> None:
        files.write_json(round(self.seconds, 3), self._path)
