"""Section `prompt` of params.yaml."""

from typing import Annotated, Any, Literal

from pydantic import Field

from kitrec.core.params import section


@section
class Prompt:
    max_length: Annotated[int, Field(ge=256)]
    text: Literal["rendered", "published"]
    summaries: bool
    labels: bool

    @property
    def published(self) -> bool:
        """Whether prompts are those of the data, word for word."""
        return self.text == "published"

    @property
    def form(self) -> dict[str, Any]:
        """What an adapter gets used to: everything but the length."""
        return {"text": self.text, "summaries": self.published or self.summaries, "labels": self.labels}
