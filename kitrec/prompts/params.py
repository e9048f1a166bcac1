"""Section `prompt` of params.yaml."""

from typing import Annotated, Any, Literal

from pydantic import Field

from kitrec.core.params import rules, section


@section
class Prompt:
    max_length: Annotated[int, Field(ge=256)]
    text: Literal["rendered", "published"]
    summaries: bool
    labels: bool
    answer_begins_with: Literal["id", "title"]

    def __post_init__(self) -> None:
        require, done = rules()
        require(
            not (self.title_first and self.published),
            "answer_begins_with: published prompts ask for the id first; set it to id, or text to rendered",
        )
        require(
            not (self.title_first and self.labels),
            "answer_begins_with: with labels, answers begin with these; set it to id, or labels to false",
        )
        done()

    @property
    def title_first(self) -> bool:
        """Whether answers begin with the item's title, its id behind it."""
        return self.answer_begins_with == "title"

    @property
    def published(self) -> bool:
        """Whether prompts are those of the data, word for word."""
        return self.text == "published"

    @property
    def form(self) -> dict[str, Any]:
        """What an adapter gets used to: everything but the length."""
        form = {"text": self.text, "summaries": self.published or self.summaries, "labels": self.labels}
        return form | ({"answer_begins_with": "title"} if self.title_first else {})  # older adapters say nothing of it
