"""Section `preference` of params.yaml."""

from typing import Annotated

from pydantic import Field

from kitrec.domains import MODELS
from kitrec.params import rules, section

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


@section
class Preference:
    models: list[str]
    beta: Positive
    learning_rate: Positive
    epochs: Count
    batch: Count
    accumulation: Count
    log_every: Count

    def __post_init__(self) -> None:
        require, done = rules()
        for name in self.models:
            require(name in MODELS, f"models: {name!r} is no fine-tuned model; there are {', '.join(MODELS)}")
        require(len(set(self.models)) == len(self.models), "models: a name stands there twice")
        done()
