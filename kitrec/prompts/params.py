"""Section `prompt` of params.yaml."""

from typing import Annotated

from pydantic import Field

from kitrec.core.params import section


@section
class Prompt:
    max_length: Annotated[int, Field(ge=256)]
    summaries: bool
    labels: bool
