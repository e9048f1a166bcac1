"""The `tiny_base` section of params.yaml: the shape of the small Qwen3 and how it is pre-trained."""

from typing import Annotated

from pydantic import Field

from kitrec.core.params import rules, section
from kitrec.synthetic.params import World

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


@section
class Phase:
    """A part of the curriculum: the shares of batches that drill lists and histories; the others are whole prompts."""

    steps: Count
    list_drills: Share
    history_drills: Share
    fewest_lines: Annotated[int, Field(ge=2)]
    most_lines: Annotated[int, Field(ge=2)]
    questions: Count
    candidates: list[Annotated[int, Field(ge=2)]]

    def __post_init__(self) -> None:
        require, done = rules()
        require(
            self.fewest_lines <= self.most_lines,
            f"fewest_lines ({self.fewest_lines}) is above most_lines ({self.most_lines})",
        )
        require(
            self.list_drills + self.history_drills <= 1,
            f"list_drills ({self.list_drills}) and history_drills ({self.history_drills}) are together above 1",
        )
        require(bool(self.candidates), "candidates must name at least one list length")
        done()


@section
class TinyBase:
    intermediate: Count
    max_positions: Count
    world: World
    users_per_type: Annotated[int, Field(ge=4)]
    batch_tokens: Count
    learning_rate: Positive
    phases: list[Phase]

    def __post_init__(self) -> None:
        require, done = rules()
        require(bool(self.phases), "phases must name at least one phase")
        done()

    @property
    def steps(self) -> int:
        """All updates."""
        return sum(phase.steps for phase in self.phases)

    def phase_at(self, step: int) -> Phase:
        """The phase of a step (from 1)."""
        for phase in self.phases:
            if step <= phase.steps:
                return phase
            step -= phase.steps
        return self.phases[-1]
