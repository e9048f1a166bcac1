"""The `trainer` section of params.yaml: of all models that kitrec's own training loop trains."""

from typing import Annotated, Literal

from pydantic import Field

from kitrec.core.params import section

Most = Annotated[int, Field(ge=1)] | Literal["all"]  # users at most, or all


@section
class Trainer:
    """`device`: auto is a GPU where torch sees one. `validation_users` choose the epoch of a model over item ids,
    `llm_validation_users` that of an LLM; where there are more, so many are sampled (validation_users.py)."""

    device: Literal["auto", "cpu", "cuda"]
    validation_users: Most
    llm_validation_users: Most
