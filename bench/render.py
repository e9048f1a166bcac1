"""Render docs/benchmarks.md (all claims) and docs/benchmarks/ (details) from bench/results.   python -m bench.render

Figures in the docs are never typed: a page shows what the JSON files of the last runs hold."""

import json
import re
from pathlib import Path
from typing import Any

RESULTS, PAGE, FOLDER = Path("bench/results"), Path("docs/benchmarks.md"), Path("docs/benchmarks")
AREAS = {
    "Pipeline and data": ["pipeline", "plan", "prepare", "evaluate"],
    "The embedded world": ["effect", "world_baselines"],
    "The tiny base": ["reading"],
    "LLM training and inference": ["train", "training_step", "train_gpu", "infer"],
    "Recommenders: speed": [
        "seqrec",
        "seqrec_minutes",
        "seqrec_rectools",
        "seqrec_gpu",
        "cdr",
        "serving",
        "scale",
        "growth",
    ],
    "Recommenders: quality on public data": ["quality_seqrec", "quality_cdr"],
    "Real people on a real base": [
        "quality_real",
        "quality_real_100",
        "quality_real_gemma3-270m",
        "quality_real_office",
        "real_base",
        "real_curve",
    ],
    "Teachers and students": [
        "distill",
        "distill_cost",
        "distill_world",
        "distill_leak",
        "quality_distill",
        "quality_ilora",
    ],
    "ThinkRec": ["thinkrec", "thinkrec_world", "thinkrec_published", "quality_thinkrec"],
}
INTRO = """# Benchmarks

Every claim of the project with its measured value and its bar, rendered from `bench/results/*.json` by
`python -m bench.render`. Claims that do not hold stay in the tables. A command links to the page of its benchmark:
machine, setting, repeats and runs.

* **ours** is the measured value; a claim about two sides (speed, mostly) has its ratio alone.
* **theirs or bar** is what it is compared with, and the value that it has to reach.
* **ratio** is that of the two sides where both were measured (`x`: at least or at most what the bar says), otherwise
  ours divided by the bar; a p-value, a zero and a bar of zero have none.
"""
SUMMARY = "| what | ours | theirs or bar | ratio | holds | command | date |\n|---|---|---|---|---|---|---|"
CLAIMS = "| claim | measured | bar | holds | against | repeats | date |\n|---|---|---|---|---|---|---|"


def render(results: Path = RESULTS, page: Path = PAGE, folder: Path = FOLDER) -> None:
    """Write the page of claims and one page per benchmark."""
    documents = {path.stem: json.loads(path.read_text()) for path in sorted(results.glob("*.json"))}
    unplaced = sorted(documents.keys() - {name for names in AREAS.values() for name in names})
    areas = AREAS | ({"Others": unplaced} if unplaced else {})
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        (folder / f"{name}.md").write_text(_details_page(document), encoding="utf-8")
    measured = {area: [documents[name] for name in names if name in documents] for area, names in areas.items()}
    measured = {area: listed for area, listed in measured.items() if listed}
    body = "".join(_area(area, listed, folder.name) for area, listed in measured.items())
    page.write_text(INTRO + _overview(measured) + body, encoding="utf-8")


def _overview(measured: dict[str, list[dict[str, Any]]]) -> str:
    rows = ["\n| area | claims | hold | benchmarks |", "|---|---|---|---|"]
    for area, documents in measured.items():
        claims = [claim for document in documents for claim in document["claims"]]
        holding = sum(claim["holds"] for claim in claims)
        names = ", ".join(document["name"] for document in documents)
        rows.append(f"| {area} | {len(claims)} | {holding} | {names} |")
    return "\n".join(rows) + "\n"


def _area(area: str, documents: list[dict[str, Any]], folder: str) -> str:
    rows = [
        _summary_row(claim, f"{folder}/{document['name']}.md") for document in documents for claim in document["claims"]
    ]
    return "\n".join([f"\n## {area}\n", SUMMARY, *rows]) + "\n"


def _summary_row(claim: dict[str, Any], details: str) -> str:
    is_ratio = claim["unit"] == "x"
    ours = "–" if is_ratio else _with_unit(claim)
    theirs = f"{claim['peer']}; {claim['bar'].strip()}" if claim["peer"] else claim["bar"].strip()
    ratio = f"{claim['value']} x" if is_ratio else _ratio_to_bar(claim)
    command = f"[`{claim['command']}`]({details})"
    return f"| {claim['claim']} | {ours} | {theirs} | {ratio} | {_holds(claim)} | {command} | {claim['date']} |"


def _ratio_to_bar(claim: dict[str, Any]) -> str:
    bar = float(claim["bar"].split()[1])
    if re.search(r"\bp\b", claim["claim"]) or not bar or not claim["value"]:
        return "–"
    return f"{claim['value'] / bar:.3g}"


def _with_unit(claim: dict[str, Any]) -> str:
    return f"{claim['value']} {claim['unit']}".strip()


def _holds(claim: dict[str, Any]) -> str:
    return "yes" if claim["holds"] else "**no**"


def _details_page(document: dict[str, Any]) -> str:
    rows = [
        f"| {c['claim']} | {_with_unit(c)} | {c['bar'].strip()} | {_holds(c)} | {c['peer'] or '–'} | "
        f"{c['repeats']}{', ' + c['spread'] if c['spread'] else ''} | {c['date']} |"
        for c in document["claims"]
    ]
    commands = list(dict.fromkeys(c["command"] for c in document["claims"]))
    about = f"{document['about']}\n\n" if "about" in document else ""
    tables = "".join(f"\n{_details(name, table)}" for name, table in document["details"].items())
    head = f"# {document['name']}\n\n[All claims](../benchmarks.md). Measured on {document['machine']} with:\n"
    command_lines = "\n".join(f"    {command}" for command in commands)
    return "\n".join([head, command_lines, "", f"{about}{CLAIMS}", *rows, tables])


def _details(name: str, rows: list[dict[str, Any]]) -> str:
    keys = list(rows[0])
    lines = ["| " + " | ".join(str(_cell(row[key])) for key in keys) + " |" for row in rows]
    return f"## {name}\n\n| {' | '.join(keys)} |\n|{'---|' * len(keys)}\n" + "\n".join(lines) + "\n"


def _cell(value: Any) -> Any:
    """Four decimals, or two digits of what is smaller: a p of 3e-08 is not 0."""
    if not isinstance(value, float):
        return value
    return f"{value:.2g}" if 0 < abs(value) < 5e-5 else round(value, 4)


if __name__ == "__main__":
    render()
