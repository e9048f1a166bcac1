"""Position bias and the effect of the candidates' order, from metrics/positions.json and metrics/orders."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from kitrec.core import files
from kitrec.report.page import Section

POSITIONS, ORDERS = Path("metrics/positions.json"), Path("metrics/orders")
TITLE = "Scored rankings by quarters of the list; p: chi-square over its positions"
Numbers = Mapping[str, Any]


def read_positions(path: Path = POSITIONS) -> dict[str, Any]:
    """Return the metrics of the stage `evaluate`, nothing where an earlier version of it ran."""
    return files.read_json(path) if path.is_file() else {}


def read_orders(methods: Collection[str], folder: Path = ORDERS) -> dict[str, Any]:
    """Return the probes of these methods' orders that have run."""
    paths = {name: folder / f"{name}.json" for name in methods}
    return {name: files.read_json(path) for name, path in paths.items() if path.is_file()}


def order_sections(positions: Numbers, orders: Numbers, which: str, prompted: Collection[str]) -> list[Section]:
    """Return position bias on a test set, and the three orders; `prompted` methods are shown a list."""
    return [*_position_bias(positions.get(which, {}), prompted), *_orders(orders)]


def positions_table(positions: Numbers, which: str, prompted: Collection[str]) -> tuple[list[str], list[list[str]]]:
    """Return Hit@1 and first choices by parts of the list, of methods that are shown it: columns and rows."""
    columns = ["method", "Hit@1", "p", "first choices", "p of choices"]
    rows = []
    for method, kind, row in _rankings(positions.get(which, {}), prompted):
        if kind != "scored":
            continue
        shares = (" ".join(_cells(row, key, 2)) for key in ("hit@1", "first_choices"))
        tests = (_p(row[key]) for key in ("hit@1", "first_choices"))
        rows.append([method, *(cell for pair in zip(shares, tests, strict=True) for cell in pair)])
    return columns, rows


def _position_bias(content: Numbers, prompted: Collection[str]) -> list[Section]:
    """Return the section of position bias, methods that are shown a list first."""
    others = [name for name in content if name not in prompted]
    ordered = [*_rankings(content, [name for name in content if name in prompted]), *_rankings(content, others)]
    if not ordered:
        return []
    parts = [part["positions"] for part in ordered[0][2]["parts"]]
    columns = ["ranking", *(f"Hit@1 {part}" for part in parts), "p", "w"]
    columns += [*(f"chosen {part}" for part in parts), "p (chosen)", "w (chosen)"]
    rows = [
        [
            f"{method} ({kind})" + ("" if method in prompted else ", shown no list"),
            *(
                cell
                for key in ("hit@1", "first_choices")
                for cell in (*_cells(row, key, 3), _p(row[key]), _w(row[key]))
            ),
        ]
        for method, kind, row in ordered
    ]
    text = (
        "Hit@1 by the held-out item's position in the list of candidates, and the share of first choices at each. p: "
        "Pearson's chi-square over all positions, put together until each part expects five counts; of Hit@1 against "
        "one share of hits wherever the item stands, of first choices against the same chance for each position. Lists "
        "are shuffled, so both hold for a method that ignores their order. w: Cohen's effect size. Not corrected for "
        "the number of tests; methods that are shown no list say what chance looks like."
    )
    return [Section("Position bias", text, columns, rows)]


def _orders(orders: Numbers) -> list[Section]:
    """Return the section of the probes of orders, if there are any."""
    if not orders:
        return []
    names = list(next(iter(orders.values()))["hit@1"])
    columns = ["method", "records", *(f"Hit@1, {name}" for name in names), "same first item", "Kendall's tau"]
    rows = [
        [
            method,
            str(probe["records"]),
            *(f"{value:.3f}" for value in probe["hit@1"].values()),
            f"{probe['same_first_share']:.3f}",
            f"{probe['kendall_tau']:.3f}",
        ]
        for method, probe in orders.items()
    ]
    text = (
        "A sample of records with their candidates in the order of the run (0) and in two others, ranked by "
        "likelihood; thoughts are written anew for each order. Tau-b is the mean over records and pairs of orders."
    )
    return [Section("Orders of candidates", text, columns, rows)]


def _rankings(content: Numbers, methods: Collection[str]) -> Iterator[tuple[str, str, Numbers]]:
    return ((name, kind, row) for name in methods if name in content for kind, row in content[name].items())


def _cells(row: Numbers, key: str, digits: int) -> list[str]:
    return ["–" if part[key] is None else f"{part[key]:.{digits}f}" for part in row["parts"]]


def _p(test: Numbers) -> str:
    return "–" if test["p"] is None else f"{test['p']:.2g}"


def _w(test: Numbers) -> str:
    return "–" if test["w"] is None else f"{test['w']:.2f}"
