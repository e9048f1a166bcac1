"""Params of distillation: the students, what each learns from a teacher, the teachers that are built here."""

from typing import Annotated, Literal

from pydantic import Field

from kitrec.core.params import rules, section
from kitrec.recommenders.params import NonParametricMethod, SequenceMethod

Count = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(gt=0, le=1)]


@section
class Importance:
    """Weights of a listed item's rank (falling by e every `decay` ranks), confidence and student agreement."""

    position: Amount
    confidence: Amount
    consistency: Amount
    decay: Positive

    def __post_init__(self) -> None:
        require, done = rules()
        require(self.position + self.confidence + self.consistency > 0, "all weights are 0: make one of them positive")
        done()


@section
class Ranking:
    """The teacher's first `topk` items as weighted positives; weight 0 turns it off."""

    weight: Amount
    topk: Count
    importance: Importance


@section
class Embedding:
    """injection: projected teacher vectors are added to the student's. distance: the student's are pulled to them."""

    form: Literal["off", "injection", "distance"]
    weight: Amount


@section
class DROS:
    """DROS, over items by popularity^power; alpha 0 turns it off. It applies to the baseline as well."""

    alpha: Amount
    beta: Positive
    power: Amount


@section
class Selection:
    """The rows that are distilled: a policy of selection_policies.py, and the fraction of rows it keeps."""

    policy: str
    fraction: Fraction


@section
class StudentConfig:
    """`missing`: whatever a teacher lacks (rows, listed items, item vectors) is refused, or masked and counted.
    `depth`: validation NDCG at this depth selects the epoch of the baseline and of the distilled student."""

    student: SequenceMethod
    ranking: Ranking
    embedding: Embedding
    dros: DROS
    selection: Selection
    missing: Literal["refuse", "mask"]
    depth: Count

    def __post_init__(self) -> None:
        require, done = rules()
        kind = self.student.loss.kind
        require(kind in ("bce", "ce"), f"student.loss.kind: {kind} has no ranking loss; use bce or ce")
        require(
            self.student.training.mode == "standard",
            "student.training.mode: validation selects the epoch; use standard",
        )
        done()


@section
class Ensemble:
    """A teacher of this project's own models; with `folds` above 1 each row is ranked by models fitted on other users.
    `list_length`: number of items of a row's list."""

    members: dict[str, SequenceMethod | NonParametricMethod]
    combine: Literal["z_score", "reciprocal_rank"]
    folds: Count
    list_length: Count

    def __post_init__(self) -> None:
        require, done = rules()
        require(len(self.members) > 0, "members: name at least one model")
        for name, member in self.members.items():
            if isinstance(member, SequenceMethod):
                full = member.training.mode == "full_data"
                require(full, f"members.{name}.training.mode: a teacher uses training rows alone; use full_data")
            else:
                personalised = member.model.kind in ("item_knn", "ease", "random_walk")
                require(personalised, f"members.{name}.model.kind: {member.model.kind} is not personalised")
        done()


@section
class Distillation:
    """Every student is distilled from every teacher, with this number of seeds.

    `teachers_to_rank`: those of `teachers_to_build` whose models rank the test as well (an oracle ranks it as a
    reference)."""

    students: list[str]
    teachers: list[str]
    teachers_to_build: list[Literal["oracle", "ensemble"]]
    teachers_to_rank: list[Literal["ensemble"]]
    seeds: Count
    cutoffs: Annotated[list[Count], Field(min_length=1)]  # K of the metrics of both students
    ensemble: Ensemble
    settings: dict[str, StudentConfig]

    def __post_init__(self) -> None:
        require, done = rules()
        for name in self.students:
            require(name in self.settings, f"students: there is no {name!r}; there are {', '.join(self.settings)}")
        absent = [name for name in self.teachers_to_rank if name not in self.teachers_to_build]
        require(
            not absent, f"teachers_to_rank: {', '.join(absent)} is not in teachers_to_build, so there are no models"
        )
        require(bool(self.students) == bool(self.teachers), "students: give students and teachers, or neither")
        done()
