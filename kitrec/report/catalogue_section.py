"""NDCG@10 among candidates and among all items, plain and freed of popularity: the table that shows other orders."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kitrec.core import files
from kitrec.core.mean_tests import ONE_TRAINING
from kitrec.report.page import Section

FILE = Path("metrics/catalogue.json")
METRIC = "ndcg@10"
TITLE = "NDCG@10 (place) among candidates, all items, all items freed of popularity (e)"


def read_catalogue(path: Path = FILE) -> dict[str, Any]:
    """Return the metrics of the stage `evaluate`; nothing where no method ranks all items."""
    content = files.read_json(path) if path.is_file() else {}
    return content if content.get("methods") else {}


def catalogue_rows(content: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows: methods on every list, best first on the first one, each figure with its place."""
    every = {name: row for name, row in content["methods"].items() if "catalogue" in row and len(row) > 1}
    lists = [which for which in next(iter(every.values()), {}) if which != "catalogue"]
    weightings = next(iter(every.values()))["catalogue"] if every else {}
    columns = [(which, "observed") for which in lists] + [("catalogue", weighting) for weighting in weightings]
    values = {name: [row[which][how][METRIC] for which, how in columns] for name, row in every.items()}
    places = {
        name: [1 + sum(other[k] > v for other in values.values()) for k, v in enumerate(row)]
        for name, row in values.items()
    }
    names = [f"set {which.removeprefix('set')}" for which in lists]
    names += ["all items" if how == "observed" else _weighting(how) for how in weightings]
    ordered = sorted(every, key=lambda name: (places[name], name))
    rows = [[name, *(f"{v:.3f} ({p})" for v, p in zip(values[name], places[name], strict=True))] for name in ordered]
    return ["method", *names], rows


def catalogue_section(content: Mapping[str, Any]) -> Section:
    """Return the section of the report: the table, how orders agree, and which pairs turn clearly."""
    columns, rows = catalogue_rows(content)
    effective = ", ".join(f"{_weighting(how)} {count:.0f}" for how, count in content["effective_records"].items())
    taus = [f"{_readable(name)} {tau:.2f}" for name, tau in content["kendall_tau"].items()]
    turned = [f"{pair} (set {which.removeprefix('set')})" for which, pair in clear_turns(content)]
    text = (
        f"Held-out items of {content['records']} records among all items of their domain that the user has not had; "
        "e: records weighted by (training users + 1) to the power of -e, so that popular items count less. "
        f"Effective records: {effective}. "
    )
    text += f"Kendall's tau of the orders: {'; '.join(taus)}. " if taus else ""
    text += (
        "Pairs in opposite orders among candidates and all items, where both 95 % intervals exclude zero, uncorrected: "
        f"{', '.join(turned) or 'none'}. {ONE_TRAINING}"
    )
    return Section("All items", text, columns, rows)


def _weighting(name: str) -> str:
    return name.replace("debiased_", "e = ").replace("observed", "unweighted")


def _readable(pair: str) -> str:
    """Return the names of two columns as the table has them."""
    text = pair.replace(" observed", "").replace("set", "set ").replace("catalogue debiased_", "e = ")
    return text.replace("catalogue", "all items").replace("~", "and")


def clear_turns(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return list and pair where the 95 % intervals of both differences exclude zero."""
    return [
        (which, pair)
        for which, pairs in content["turned_pairs"].items()
        for pair, sides in pairs.items()
        if all(side["low"] * side["high"] > 0 for side in sides.values())
    ]
