"""Parameters of a chat server: the key `endpoint` of the sections that use one."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from kitrec.core.params import rules, section

Count = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(ge=0)]
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


@section
class Endpoint:
    """An OpenAI-compatible server. Without a url only cached replies are used."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s/]+")] | None
    model: Annotated[str, Field(min_length=1)]
    temperature: Annotated[float, Field(ge=0, le=2)]
    max_tokens: Count
    max_tokens_parameter: Literal["max_tokens", "max_completion_tokens"]  # the server's name of `max_tokens`
    timeout: Annotated[float, Field(gt=0)]
    retries: Annotated[int, Field(ge=0)]
    max_concurrency: Count
    input_price: Amount | None
    output_price: Amount | None
    budget: Amount

    def __post_init__(self) -> None:
        require, done = rules()
        require(
            self.url is None or self.is_local or None not in (self.input_price, self.output_price),
            f"input_price and output_price of {self.model} must be set (0 if it is free): `budget` is counted in "
            f"them, and {self.url} is not on this machine",
        )
        done()

    @property
    def is_local(self) -> bool:
        """Return whether the server runs on this machine."""
        return self.url is not None and urlsplit(self.url).hostname in LOCAL_HOSTS

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the cost of tokens; prices are per million."""
        return (prompt_tokens * (self.input_price or 0) + completion_tokens * (self.output_price or 0)) / 1e6
