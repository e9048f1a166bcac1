"""The headline metrics as tables for the terminal, each narrow enough for 80 columns."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from kitrec.core import files

SHOWN = ("hit@1", "hit@5", "hit@10", "mrr", "ndcg@10")


def headline_tables(headline: Path, strata: Path) -> list[Table]:
    """Every ranking's means over all test users, and its Hit@1 by core."""
    means, cells = files.read_json(headline), files.read_json(strata)
    rankings = [(method, kind) for method, kinds in means.items() for kind in kinds]
    users = means[rankings[0][0]][rankings[0][1]]["n"]
    cores = list(cells[rankings[0][0]][rankings[0][1]]["core"])
    overall, by_core = _table(f"{users} test users", SHOWN), _table("Hit@1 by core", cores)
    for method, kind in rankings:
        overall.add_row(method, kind, *(f"{means[method][kind][name]:.3f}" for name in SHOWN))
        by_core.add_row(method, kind, *(f"{cells[method][kind]['core'][core]['hit@1']:.3f}" for core in cores))
    return [overall, by_core]


def information_table(answers: Path) -> Table:
    """What the prompts of every method in a folder of metrics show on average: unequal columns, unequal terms."""
    rows = [(method, which, counted["sees"]) for method, which, counted in _counted(answers)]
    table = _table("What a prompt shows, on average", rows[0][2] if rows else [], ("method", "test set"))
    for method, which, sees in rows:
        table.add_row(method, which, *(f"{value:.1f}" for value in sees.values()))
    return table


def naming_table(answers: Path) -> Table:
    """How many items the answers of every method name, and how many of the reader's books their reasoning does."""
    table = _table("What an answer names, on average", ("items_named", "references"), ("method", "test set"))
    for method, which, counted in _counted(answers):
        table.add_row(method, which, f"{counted['items_named']:.2f}", f"{counted['references']['mean']:.2f}")
    return table


def _counted(answers: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """(method, test set, counts) of every method that writes: models over item ids are shown no prompt."""
    return [
        (path.stem, which, counted)
        for path in sorted(answers.glob("*.json"))
        for which, counted in files.read_json(path).items()
        if "sees" in counted
    ]


def _table(title: str, columns: Iterable[str], names: Iterable[str] = ("method", "ranking")) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for name in names:
        table.add_column(name, no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table
