"""The `evaluation` section of params.yaml: whose rankings are scored, and what is tested."""

from typing import Annotated, Literal

from pydantic import Field

from kitrec.contracts.scores import METRICS
from kitrec.params import rules, section

Count = Annotated[int, Field(ge=1)]


@section
class Family:
    """The comparisons that are declared before the results are seen; p-values are corrected for these."""

    kind: Literal["scored", "written"]
    metrics: Annotated[list[str], Field(min_length=1)]
    pairs: list[tuple[str, str]]

    def __post_init__(self) -> None:
        require, done = rules()
        for metric in self.metrics:
            require(metric in METRICS, f"metrics: {metric!r} is no metric; there are {', '.join(METRICS)}")
        for one, two in self.pairs:
            require(one != two, f"pairs: {one} is compared with itself")
        unordered = {frozenset(pair) for pair in self.pairs}
        require(len(unordered) == len(self.pairs), "pairs: two methods are compared twice")
        done()


@section
class Ablation:
    """RQ1: the four methods of a 2x2, fine-tuned or not, thinking or not."""

    kind: Literal["scored", "written"]
    metrics: Annotated[list[str], Field(min_length=1)]
    tuned_thinking: str
    tuned_direct: str
    base_thinking: str
    base_direct: str

    def __post_init__(self) -> None:
        require, done = rules()
        for metric in self.metrics:
            require(metric in METRICS, f"metrics: {metric!r} is no metric; there are {', '.join(METRICS)}")
        require(len(set(self.methods)) == 4, "a method stands at two places of the 2x2")
        done()

    @property
    def methods(self) -> tuple[str, str, str, str]:
        """In the order of the equations of ablation.py."""
        return self.tuned_thinking, self.tuned_direct, self.base_thinking, self.base_direct


@section
class Evaluation:
    methods: Annotated[list[str], Field(min_length=1)]
    resamples: Annotated[int, Field(ge=100)]
    flips: Annotated[int, Field(ge=100)]
    fewest: Count
    family: Family
    ablation: Ablation | None
