"""Section `tiny_base` of params.yaml: size and pre-training of the small Qwen3 base model."""

from typing import Annotated

from pydantic import Field

from kitrec.core.params import rules, section
from kitrec.synthetic.params import World

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


@section
class Phase:
    """Phase of the curriculum: shares of list-task and history-task batches; the other batches are whole prompts."""

    steps: Count
    list_task_share: Share
    history_task_share: Share
    min_lines: Annotated[int, Field(ge=2)]
    max_lines: Annotated[int, Field(ge=2)]
    choices_per_list: Count
    candidates: list[Annotated[int, Field(ge=2)]]

    def __post_init__(self) -> None:
        require, done = rules()
        require(
            self.min_lines <= self.max_lines,
            f"min_lines ({self.min_lines}) is above max_lines ({self.max_lines})",
        )
        require(
            self.list_task_share + self.history_task_share <= 1,
            f"list_task_share ({self.list_task_share}) + history_task_share ({self.history_task_share}) is above 1",
        )
        require(bool(self.candidates), "candidates must name at least one list length")
        done()


@section
class TinyBase:
    intermediate_size: Count
    max_position_embeddings: Count
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
        """Total number of updates."""
        return sum(phase.steps for phase in self.phases)

    def phase_at(self, step: int) -> Phase:
        """Return the phase of a step (from 1)."""
        for phase in self.phases:
            if step <= phase.steps:
                return phase
            step -= phase.steps
        return self.phases[-1]
