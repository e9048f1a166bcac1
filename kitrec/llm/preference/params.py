"""Section `preference` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from kitrec.core.params import rules, section
from kitrec.llm.base.params import Count, Positive


@section
class Preference:
    """`num_generations` and `max_new_tokens` are for grpo, which lets the model write; dpo only reads pairs."""

    models: list[str]
    method: Literal["dpo", "grpo"]
    beta: Positive
    learning_rate: Positive
    epochs: Count
    batch_size: Count
    gradient_accumulation_steps: Count
    num_generations: Annotated[int, Field(ge=2)]
    max_new_tokens: Count
    logging_steps: Count

    def __post_init__(self) -> None:
        require, done = rules()
        require(len(set(self.models)) == len(self.models), "models: a name occurs twice")
        require(
            self.method == "dpo" or self.answers_per_update % self.num_generations == 0,
            f"num_generations: {self.num_generations} answers to a prompt do not fill updates of "
            f"{self.answers_per_update} (batch_size x gradient_accumulation_steps): make one a multiple of the other",
        )
        done()

    @property
    def answers_per_update(self) -> int:
        """The effective batch size."""
        return self.batch_size * self.gradient_accumulation_steps
