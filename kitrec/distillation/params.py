"""The params of the distillation: who is the student, what of a teacher it follows, and which rows."""

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
    """How much a listed item counts: by its rank (falling by e every `decay` ranks), confidence and agreement."""

    position: Amount
    confidence: Amount
    consistency: Amount
    decay: Positive

    def __post_init__(self) -> None:
        require, done = rules()
        require(self.position + self.confidence + self.consistency > 0, "all weights are 0: give one of them a weight")
        done()


@section
class Ranking:
    """The teacher's first `topk` items as weighted positives; weight 0 turns it off."""

    weight: Amount
    topk: Count
    importance: Importance


@section
class Embedding:
    """injection: projected teacher vectors are added to the student's. distance: the student's are drawn to them."""

    form: Literal["off", "injection", "distance"]
    weight: Amount


@section
class Robust:
    """DROS, over items by popularity^power; alpha 0 turns it off. It belongs to the student, with a teacher or not."""

    alpha: Amount
    beta: Positive
    power: Amount


@section
class Selection:
    """Which rows are distilled: a policy of selection.py, and the share of rows it keeps."""

    policy: str
    fraction: Fraction


@section
class Distill:
    """`gaps`: what a teacher lacks (rows, items of a list, items the student knows) is refused, or masked and counted.
    `depth`: validation NDCG at this depth chooses the epoch of both students."""

    student: SequenceMethod
    ranking: Ranking
    embedding: Embedding
    robust: Robust
    selection: Selection
    gaps: Literal["refuse", "mask"]
    depth: Count

    def __post_init__(self) -> None:
        require, done = rules()
        kind = self.student.loss.kind
        require(kind in ("bce", "ce"), f"student.loss.kind: {kind} has no ranking term; take bce or ce")
        require(
            self.student.training.mode == "standard", "student.training.mode: the validation chooses; take standard"
        )
        done()


@section
class Ensemble:
    """A teacher of this project's own models; `folds` above 1: each row is ranked by models that never saw its reader.
    `length`: how many items a row's list has."""

    members: dict[str, SequenceMethod | NonParametricMethod]
    combine: Literal["z_score", "reciprocal_rank"]
    folds: Count
    length: Count

    def __post_init__(self) -> None:
        require, done = rules()
        require(len(self.members) > 0, "members: name at least one model")
        for name, own in self.members.items():
            if isinstance(own, SequenceMethod):
                full = own.training.mode == "full_data"
                require(full, f"members.{name}.training.mode: a teacher sees training rows alone; take full_data")
            else:
                counted = own.model.kind in ("item_knn", "ease", "random_walk")
                require(counted, f"members.{name}.model.kind: {own.model.kind} tells no reader from another")
        done()


@section
class Distillation:
    """Which students learn from which teachers (all pairs), with how many seeds.

    `ranked`: of `made`, those whose models rank the test too (an oracle does so as a reference)."""

    students: list[str]
    teachers: list[str]
    made: list[Literal["oracle", "ensemble"]]
    ranked: list[Literal["ensemble"]]
    seeds: Count
    ensemble: Ensemble
    settings: dict[str, Distill]

    def __post_init__(self) -> None:
        require, done = rules()
        for name in self.students:
            require(name in self.settings, f"students: there is no {name!r}; there are {', '.join(self.settings)}")
        lost = [name for name in self.ranked if name not in self.made]
        require(not lost, f"ranked: {', '.join(lost)} is not in made, so it has no models")
        require(bool(self.students) == bool(self.teachers), "students: give students and teachers, or neither")
        done()
