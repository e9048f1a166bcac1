"""Where a chat model is asked, how, and for how much money: the key `endpoint` of the sections that ask one."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from kitrec.core.params import rules, section

Count = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(ge=0)]
HERE = ("localhost", "127.0.0.1", "::1")


@section
class Endpoint:
    """An OpenAI-compatible server. Without a url nothing is asked: kept replies must do."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s/]+")] | None
    model: Annotated[str, Field(min_length=1)]
    temperature: Annotated[float, Field(ge=0, le=2)]
    max_tokens: Count
    token_limit: Literal["max_tokens", "max_completion_tokens"]  # what the server calls `max_tokens`
    timeout: Annotated[float, Field(gt=0)]
    retries: Annotated[int, Field(ge=0)]
    at_once: Count
    input_price: Amount | None
    output_price: Amount | None
    limit: Amount

    def __post_init__(self) -> None:
        require, done = rules()
        require(
            self.url is None or self.is_here or None not in (self.input_price, self.output_price),
            f"input_price and output_price of {self.model} must be set (0 if it is free): `limit` counts by them, and "
            f"{self.url} is not this machine",
        )
        done()

    @property
    def is_here(self) -> bool:
        """Whether the server runs on this machine."""
        return self.url is not None and urlsplit(self.url).hostname in HERE

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Money for so many tokens; prices are per million."""
        return (prompt_tokens * (self.input_price or 0) + completion_tokens * (self.output_price or 0)) / 1e6
