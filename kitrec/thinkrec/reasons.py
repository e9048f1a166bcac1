"""A reason begins with its verdict: Yes or No. One that says the other, or neither, teaches the wrong thing."""

import re
from typing import Literal

Verdict = Literal["Yes", "No"]
# "No-one", "No doubt they would", "No less than perfect": no verdict
_NONE = "doubt|question|wonder|one|matter|less|fewer|more|other|better|longer|sooner|finer|greater"
_BEGINS = re.compile(rf"\s*(yes|no)\b(?![-'’]\w)(?!(?<=no)\s+(?:{_NONE})\b)", re.IGNORECASE)


def verdict_of(label: int) -> Verdict:
    """The word that answers whether it was liked."""
    return "Yes" if label else "No"


def said_by(text: str) -> str | None:
    """The verdict that a text begins with, if it begins with one."""
    found = _BEGINS.match(text)
    return found[1].capitalize() if found else None


def contradicts(reason: str, label: int) -> bool:
    """Whether a reason's verdict is not that of the label."""
    return said_by(reason) != verdict_of(label)


def beginning_with(verdict: Verdict, text: str) -> str:
    """A reason in one form: the verdict, a full stop, the rest."""
    found = _BEGINS.match(text)
    rest = text[found.end() :] if found else text
    return f"{verdict}. {rest.lstrip(' .,:;-')}".rstrip()
