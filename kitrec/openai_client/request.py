"""A question to a chat model, and its name: the hash of everything the reply may depend on.

The address of the server is no part of it: it says where a model is asked and not what, a local server's port changes
with every start, and kept replies must be found without any server. So one name of a model must mean one model."""

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
        """As JSON. Keys stay in their order: a model writes its reply in the order of the schema."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)

    @cached_property
    def name(self) -> str:
        """Its content hash."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def most_prompt_tokens(self) -> int:
        """No token is shorter than a byte; the JSON around the messages makes up for a chat template's marks."""
        return len(self.text.encode())


def request(endpoint: Endpoint, messages: Sequence[Message], schema: Schema, seed: int) -> ChatRequest:
    """What the endpoint's model is asked."""
    return ChatRequest(endpoint.model, messages, schema, endpoint.temperature, endpoint.max_tokens, seed)


def most_money(asked: ChatRequest, endpoint: Endpoint) -> float:
    """What the reply may cost at worst."""
    return endpoint.cost(asked.most_prompt_tokens, asked.max_tokens)


def as_data(value: Mapping[str, Any]) -> str:
    """JSON in which no text can end its string, nor be a control token to whatever tokenizer: `<` and `[` of texts are
    escaped, which JSON reads as the same characters."""
    text = json.dumps(value, ensure_ascii=False)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
