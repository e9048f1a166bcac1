"""The `evaluation` section of params.yaml: the methods that are scored, and the tests of their differences."""

from typing import Annotated, Literal

from pydantic import Field

from kitrec.core.params import rules, section
from kitrec.schemas.scores import METRICS

Count = Annotated[int, Field(ge=1)]


@section
class Family:
    """Comparisons declared before the results are seen; p-values are corrected within this family."""

    kind: Literal["scored", "written"]
    metrics: Annotated[list[str], Field(min_length=1)]
    pairs: list[tuple[str, str]]

    def __post_init__(self) -> None:
        require, done = rules()
        for metric in self.metrics:
            require(metric in METRICS, f"metrics: {metric!r} is no metric; there are {', '.join(METRICS)}")
        for first, second in self.pairs:
            require(first != second, f"pairs: {first} is compared with itself")
        unordered = {frozenset(pair) for pair in self.pairs}
        require(len(unordered) == len(self.pairs), "pairs: two methods are compared twice")
        done()


@section
class Ablation:
    """RQ1, a 2x2: tuned thinking, tuned direct, base thinking and base direct; off without methods."""

    kind: Literal["scored", "written"]
    metrics: Annotated[list[str], Field(min_length=1)]
    methods: list[str]

    def __post_init__(self) -> None:
        require, done = rules()
        for metric in self.metrics:
            require(metric in METRICS, f"metrics: {metric!r} is no metric; there are {', '.join(METRICS)}")
        require(
            not self.methods or len(self.methods) == len(set(self.methods)) == 4,
            "methods: a 2x2 has four different ones (tuned thinking, tuned direct, base thinking, base direct)",
        )
        done()


@section
class Evaluation:
    methods: Annotated[list[str], Field(min_length=1)]
    resamples: Annotated[int, Field(ge=100)]
    permutations: Annotated[int, Field(ge=1000)]
    min_users: Count
    family: Family
    ablation: Ablation
