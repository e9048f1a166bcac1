"""Render docs/benchmarks.md from bench/results/*.json: figures in the docs are never typed.   python -m bench.render"""

import json
from pathlib import Path
from typing import Any

PAGE = Path("docs/benchmarks.md")
INTRO = """# Benchmarks

Rendered from `bench/results/*.json` by `python -m bench.render`; each table names the command that measured it.
"""


def render() -> None:
    """Write the page."""
    documents = [json.loads(path.read_text()) for path in sorted(Path("bench/results").glob("*.json"))]
    PAGE.write_text(INTRO + "".join(_section(document) for document in documents), encoding="utf-8")


def _section(document: dict[str, Any]) -> str:
    rows = [
        f"| {c['claim']} | {c['value']} {c['unit']} | {c['bar']} | {'yes' if c['holds'] else '**no**'} | "
        f"{c['peer'] or '–'} | {c['repeats']}{', ' + c['spread'] if c['spread'] else ''} | {c['date']} |"
        for c in document["claims"]
    ]
    head = "| claim | measured | bar | holds | against | repeats | date |\n|---|---|---|---|---|---|---|"
    command = document["claims"][0]["command"]
    details = "".join(f"\n{_details(name, table)}" for name, table in document["details"].items())
    body = "\n".join(rows)
    several = "" if len({c["command"] for c in document["claims"]}) == 1 else " and its like"
    about = f"{document['about']}\n\n" if "about" in document else ""
    return (
        f"\n## {document['name']}\n\n`{command}`{several} on {document['machine']}.\n\n{about}{head}\n{body}\n{details}"
    )


def _details(name: str, rows: list[dict[str, Any]]) -> str:
    keys = list(rows[0])
    cells = [[_cell(row[key]) for key in keys] for row in rows]
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in cells]
    return f"### {name}\n\n| {' | '.join(keys)} |\n|{'---|' * len(keys)}\n" + "\n".join(lines) + "\n"


def _cell(value: Any) -> Any:
    """Four places, and two digits of what is smaller: a p of 3e-08 is not 0."""
    if not isinstance(value, float):
        return value
    return f"{value:.2g}" if 0 < abs(value) < 5e-5 else round(value, 4)


if __name__ == "__main__":
    render()
