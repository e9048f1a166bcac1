"""A method and an engine's params as most tests need them."""

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
    "constrained": False,
}


def a_method(model: str, *, thinking: bool, **changes: Any) -> Method:
    """Greedy, unbound, of eight tokens, but for the changes."""
    return Method(model=model, thinking=thinking, **{**PLAIN, **changes})


def an_engine(**changes: Any) -> Engine:
    """The shipped engine with some params changed."""
    return replace(params.load(Engine, "engine", ROOT / "params.yaml"), **changes)
