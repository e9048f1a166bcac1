"""What of a server's reply counts. Servers differ in everything else, so nothing else is looked at."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from kitrec.core.errors import InputError
from kitrec.openai_client.params import Endpoint
from kitrec.openai_client.replies import Reply
from kitrec.openai_client.request import ChatRequest


@dataclass(frozen=True)
class _Message:
    content: str | None = None


@dataclass(frozen=True)
class _Choice:
    message: _Message
    finish_reason: str | None = None


@dataclass(frozen=True)
class _Usage:
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class _Completion:
    choices: Annotated[list[_Choice], Field(min_length=1)]
    model: str | None = None
    usage: _Usage | None = None


_COMPLETION = TypeAdapter(_Completion)


def reply_of(body: bytes, asked: ChatRequest, endpoint: Endpoint) -> Reply:
    """The reply in a body; where the server does not count tokens, as many as there can be."""
    try:
        found = _COMPLETION.validate_json(body)
    except ValidationError:
        start = body[:80].decode(errors="replace")
        raise InputError(
            f"{endpoint.url} does not speak OpenAI's format, it answers {start!r}: check the url"
        ) from None
    usage = found.usage or _Usage(asked.most_prompt_tokens, asked.max_tokens)
    choice = found.choices[0]
    return Reply(
        choice.message.content,
        choice.finish_reason or "unknown",
        found.model or asked.model,
        usage.prompt_tokens,
        usage.completion_tokens,
        endpoint.cost(usage.prompt_tokens, usage.completion_tokens),
    )
