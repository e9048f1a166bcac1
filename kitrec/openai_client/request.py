"""A request to a chat model, named by the hash of everything its reply may depend on.

The address of the server is not included: a local server's port changes with every start, and cached replies must be
found without a server. Therefore one model name must mean one model."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from kitrec.openai_client.params import Endpoint

Message = Mapping[str, str]
Schema = Mapping[str, Any]
_CONTROL = re.compile(r"<|\[(?=[A-Za-z/])")  # what a control token of a chat begins with; in JSON only text has it


@dataclass(frozen=True)
class ChatRequest:
    """The messages, the JSON schema of the reply (its `title` is its name), and how tokens are drawn."""

    model: str
    messages: Sequence[Message]
    schema: Schema
    temperature: float
    max_tokens: int
    seed: int

    @cached_property
    def text(self) -> str:
        """Return the request as JSON. Keys keep their order: a model writes its reply in the order of the schema."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)

    @cached_property
    def name(self) -> str:
        """Return the content hash."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def max_prompt_tokens(self) -> int:
        """Return a bound: a token has at least one byte, and the JSON outweighs a chat template's control tokens."""
        return len(self.text.encode())


def build_request(endpoint: Endpoint, messages: Sequence[Message], schema: Schema, seed: int) -> ChatRequest:
    """Return a request to the endpoint's model."""
    return ChatRequest(endpoint.model, messages, schema, endpoint.temperature, endpoint.max_tokens, seed)


def max_cost(request: ChatRequest, endpoint: Endpoint) -> float:
    """Return the maximum cost of the reply."""
    return endpoint.cost(request.max_prompt_tokens, request.max_tokens)


def to_json_data(value: Mapping[str, Any]) -> str:
    """Return JSON in which no text can end its string or form a control token of any tokenizer.

    `<` and `[` of texts are escaped, which JSON parsers decode to the same characters."""
    text = json.dumps(value, ensure_ascii=False)
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
