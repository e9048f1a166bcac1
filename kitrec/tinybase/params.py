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
    list_tasks: Share
    history_tasks: Share
    min_lines: Annotated[int, Field(ge=2)]
    max_lines: Annotated[int, Field(ge=2)]
    questions: Count
    candidates: list[Annotated[int, Field(ge=2)]]

    def __post_init__(self) -> None:
        require, done = rules()
        require(
            self.min_lines <= self.max_lines,
            f"min_lines ({self.min_lines}) is above max_lines ({self.max_lines})",
        )
        require(
            self.list_tasks + self.history_tasks <= 1,
            f"list_tasks ({self.list_tasks}) and history_tasks ({self.history_tasks}) are together above 1",
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
