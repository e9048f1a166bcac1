"""A method and engine params as most tests need them."""

from dataclasses import replace
from typing import Any

from kitrec.core import params
from kitrec.llm.generation.params import Engine, Method
from tests.conftest import ROOT

PLAIN: dict[str, Any] = {
    "steps": "single",
    "answer_items": 1,
    "max_new_tokens": 8,
    "thinking_budget": None,
    "temperature": 0.0,
    "top_p": 1.0,
    "top_k": 0,
    "structured_outputs": False,
}


def made_method(model: str, *, thinking: bool, **changes: Any) -> Method:
    """A greedy method without a schema and of eight tokens, but for the changes."""
    return Method(model=model, thinking=thinking, **{**PLAIN, **changes})


def made_engine(**changes: Any) -> Engine:
    """The shipped engine with some params changed."""
    return replace(params.load(Engine, "engine", ROOT / "params.yaml"), **changes)
