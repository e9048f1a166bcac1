"""A method as most tests need it."""

from typing import Any

from kitrec.llm.method_params import Method

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
