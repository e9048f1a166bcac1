"""Report section on adapters that others trained: where they come from, and what nobody says about them."""

from collections.abc import Mapping
from typing import Any

from kitrec.report.page import Section

UNKNOWN = {
    "records": "training data",
    "candidate_set": "candidate set",
    "candidates": "length of lists",
    "prompt": "prompt",
    "answer": "form of answers",
}
COLUMNS = ["method", "adapter", "from", "commit", "base it names", "rank", "projections", "unknown"]
Origins = Mapping[str, Mapping[str, Mapping[str, Any]]]


def foreign_adapters(origins: Origins) -> list[Section]:
    """Return a row for every adapter trained elsewhere, if there are any; `origins` is method -> its adapters."""
    rows = [
        _row(method, name, origin)
        for method, adapters in origins.items()
        for name, origin in adapters.items()
        if origin.get("foreign")
    ]
    text = (
        "These adapters were trained elsewhere; only their files are known. Test users may be among the users they "
        "were trained on, and prompts may differ from those they learned."
    )
    return [Section("Adapters trained elsewhere", text, COLUMNS, rows)] if rows else []


def _row(method: str, name: str, origin: Mapping[str, Any]) -> list[str]:
    pulled = origin.get("pulled") or {}
    unknown = [label for key, label in UNKNOWN.items() if origin.get(key) is None]
    return [
        *(method, name, str(pulled.get("source") or "put here"), str(pulled.get("commit") or "–")[:12]),
        *(str(origin.get("base_model")), str(origin.get("rank")), ", ".join(origin.get("modules", []))),
        ", ".join(unknown),
    ]
