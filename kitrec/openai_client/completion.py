"""Parsing of a server's completion: only fields that all servers share are read."""

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


def parse_completion(body: bytes, request: ChatRequest, endpoint: Endpoint) -> Reply:
    """Return the reply of a response body; without token counts, the maximum is assumed."""
    try:
        completion = _COMPLETION.validate_json(body)
    except ValidationError:
        start = body[:80].decode(errors="replace")
        raise InputError(f"{endpoint.url} does not send OpenAI's format but {start!r}: check the url") from None
    usage = completion.usage or _Usage(request.max_prompt_tokens, request.max_tokens)
    choice = completion.choices[0]
    return Reply(
        choice.message.content,
        choice.finish_reason or "unknown",
        completion.model or request.model,
        usage.prompt_tokens,
        usage.completion_tokens,
        endpoint.cost(usage.prompt_tokens, usage.completion_tokens),
    )
