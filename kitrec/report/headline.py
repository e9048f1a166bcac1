"""Headline metrics as tables for the terminal, each at most 80 columns wide."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from kitrec.core import files

Answers = list[tuple[str, str, dict[str, Any]]]  # method, test set, statistics of its prompts and answers
SHOWN = ("hit@1", "hit@5", "hit@10", "mrr", "ndcg@10")


def headline_tables(headline: Path, strata: Path) -> list[Table]:
    """Return tables of every ranking's means over all test users, and of its Hit@1 by core."""
    means, by_stratum = files.read_json(headline), files.read_json(strata)
    rankings = [(method, kind) for method, kinds in means.items() for kind in kinds]
    users = means[rankings[0][0]][rankings[0][1]]["n"]
    cores = list(by_stratum[rankings[0][0]][rankings[0][1]]["core"])
    overall, by_core = _table(f"{users} test users", SHOWN), _table("Hit@1 by core", cores)
    for method, kind in rankings:
        overall.add_row(method, kind, *(f"{means[method][kind][name]:.3f}" for name in SHOWN))
        by_core.add_row(method, kind, *(f"{by_stratum[method][kind]['core'][core]['hit@1']:.3f}" for core in cores))
    return [overall, by_core]


def read_answers(folder: Path, methods: Collection[str]) -> Answers:
    """Return the statistics of the methods with prompts among these; files of earlier runs do not count."""
    return [
        (path.stem, which, statistics)
        for path in sorted(folder.glob("*.json"))
        if path.stem in methods
        for which, statistics in files.read_json(path).items()
        if "prompt_contents" in statistics
    ]


def prompt_contents_table(answers: Answers) -> Table:
    """Return the average contents of every method's prompts; different contents mean unequal terms."""
    rows = [(method, which, statistics["prompt_contents"]) for method, which, statistics in answers]
    table = _table("Average contents of a prompt", rows[0][2] if rows else [], ("method", "test set"))
    for method, which, contents in rows:
        table.add_row(method, which, *(f"{value:.1f}" for value in contents.values()))
    return table


def mentions_table(answers: Answers) -> Table:
    """Return how many items answers are asked for and name, how long their thoughts are, and the history items that
    their reasoning mentions, on average."""
    columns = ("asked for", "named", "thought (characters)", "history items")
    table = _table("Items and thoughts of answers, on average", columns, ("method", "test set"))
    for method, which, statistics in answers:
        thought, mentions = (statistics[name]["mean"] for name in ("thinking_characters", "history_mentions"))
        requested, named = statistics["answer_items"], statistics["items_named"]
        table.add_row(method, which, str(requested), f"{named:.2f}", f"{thought:.0f}", f"{mentions:.2f}")
    return table


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


def _table(title: str, columns: Iterable[str], names: Iterable[str] = ("method", "ranking")) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for name in names:
        table.add_column(name, no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table
