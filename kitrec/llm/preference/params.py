"""Section `preference` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from kitrec.core.domains import MODELS
from kitrec.core.params import rules, section

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


@section
class Preference:
    """`generations` and `max_new_tokens` are for grpo, which lets the model write; dpo only reads pairs."""

    models: list[str]
    method: Literal["dpo", "grpo"]
    beta: Positive
    learning_rate: Positive
    epochs: Count
    batch: Count
    accumulation: Count
    generations: Annotated[int, Field(ge=2)]
    max_new_tokens: Count
    log_every: Count

    def __post_init__(self) -> None:
        require, done = rules()
        for name in self.models:
            require(name in MODELS, f"models: {name!r} is no fine-tuned model; there are {', '.join(MODELS)}")
        require(len(set(self.models)) == len(self.models), "models: a name stands there twice")
        require(
            self.method == "dpo" or self.batch * self.accumulation % self.generations == 0,
            f"generations: {self.generations} answers to a prompt do not fill updates of "
            f"{self.batch * self.accumulation} (batch x accumulation): make one a multiple of the other",
        )
        done()
