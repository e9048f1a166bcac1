"""The `evaluation` section of params.yaml: whose rankings are scored."""

from typing import Annotated

from pydantic import Field

from kitrec.params import section


@section
class Evaluation:
    methods: Annotated[list[str], Field(min_length=1)]
