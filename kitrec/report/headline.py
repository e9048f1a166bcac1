"""What the headline tables say beside their means: prompts and answers of the methods, warnings, cut histories."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from kitrec.core import files

Answers = list[tuple[str, str, dict[str, Any]]]  # method, test set, statistics of its prompts and answers


def read_answers(folder: Path, methods: Collection[str]) -> Answers:
    """Return the statistics of the methods with prompts among these; files of earlier runs do not count."""
    return [
        (path.stem, which, statistics)
        for path in sorted(folder.glob("*.json"))
        if path.stem in methods
        for which, statistics in files.read_json(path).items()
        if "prompt_contents" in statistics
    ]


def requested_items(answers: Answers) -> dict[str, int]:
    """Return the number of items that each method's answers were asked for."""
    return {method: statistics["answer_items"] for method, _, statistics in answers}


def length_warnings(answers: Answers) -> list[str]:
    """Return the warnings of answers that end by a limit of length."""
    return [
        f"{method}, {which}: {warning}" for method, which, statistics in answers for warning in statistics["warnings"]
    ]


def cut_note(data: Path) -> str:
    """Return which test users have cut histories by metrics/data.json, which every table has to say; mostly nothing."""
    figures = files.read_json(data) if data.is_file() else {}
    cut = figures.get("cut", {}).get("users", {}).get("test", {})
    listed = ", ".join(f"{name} {users} of {figures['records']['test'][name]}" for name, users in cut.items())
    return f"Test users whose histories were cut to their newest target items (users.cut): {listed}." if listed else ""
