"""The tables of `kitrec show`: means with intervals, by core, among all items, of prompts and answers, of lists."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import polars as pl
from rich.text import Text

from kitrec.cli.names import records_of_users
from kitrec.cli.output import Cell, Row, Sheet, interval, number, text, text_sheet
from kitrec.evaluation.beyond_accuracy import BEYOND, MEANS
from kitrec.report.catalogue_section import TITLE, catalogue_rows
from kitrec.report.headline import Answers
from kitrec.report.paper_tables import REFERENCES, best_learned
from kitrec.schemas.scores import METRICS

SHOWN = ("hit@1", "hit@10", "mrr", "ndcg@10")
WITH_INTERVAL = ("hit@1", "ndcg@10")
KINDS = {"scored": "Scored: all candidates ranked", "written": "Written: the items that answers name"}
BEST = "•"
LEGEND = f"{BEST} best learned method; below the line: references, which learn nothing or know the world."
Means = Mapping[str, Mapping[str, Mapping[str, Any]]]  # method -> kind -> n and metrics


def headline_sheets(means: Means, intervals: pl.DataFrame | None, which: str) -> list[Sheet]:
    """Return a table of means for each kind of ranking; `intervals` are the rows of all users in strata_means."""
    bounds = {(row["method"], row["kind"], row["metric"]): row for row in _rows(intervals)}
    sheets = []
    for kind, title in KINDS.items():
        rows = [_means(method, kind, of_kind[kind], bounds) for method, of_kind in means.items() if kind in of_kind]
        if rows := references_last(rows):
            counted = records_of_users(rows[0]["records"], rows[0]["users"])
            sheets.append(_marked(kind, f"{title}, set {which}: {counted}", rows, SHOWN, WITH_INTERVAL))
    return sheets


def core_sheet(strata: Mapping[str, Any]) -> Sheet:
    """Return Hit@1 by core; the best of a column is that of its kind of ranking."""
    rows = [
        {"method": method, "ranking": kind, **{core: row["hit@1"] for core, row in groups["core"].items()}}
        for method, kinds in strata.items()
        for kind, groups in kinds.items()
    ]
    cores = [name for name in rows[0] if name not in ("method", "ranking")] if rows else []
    return _marked("hit@1_by_core", "Hit@1 by core (target interactions)", references_last(rows), cores, ())


def catalogue_sheet(content: Mapping[str, Any]) -> Sheet:
    """Return NDCG@10 among candidates and all items, each figure with its place."""
    columns, values = catalogue_rows(content)
    figures = [
        {"method": method, "list": which, "weighting": how, **row}
        for method, lists in content["methods"].items()
        for which, weightings in lists.items()
        for how, row in weightings.items()
    ]
    shown = text_sheet("catalogue", TITLE, columns, values)
    return Sheet("catalogue", TITLE, shown.rows, shown.cells, ("method",), figures=figures)


def prompt_sheet(answers: Answers) -> Sheet:
    """Return the average contents of every method's prompts; different contents mean unequal terms."""
    rows = [
        {"method": method, "test set": which, **statistics["prompt_contents"]} for method, which, statistics in answers
    ]
    names = [name for name in (rows[0] if rows else {}) if name not in ("method", "test set")]
    return _plain("prompt_contents", "Average contents of a prompt", rows, dict.fromkeys(names, ".1f"))


def mentions_sheet(answers: Answers) -> Sheet:
    """Return how many items answers are asked for and name, how long their thoughts are, and what these mention."""
    rows = [
        {
            "method": method,
            "test set": which,
            "asked for": statistics["answer_items"],
            "named": statistics["items_named"],
            "thought": statistics["thinking_characters"]["mean"],
            "history items": statistics["history_mentions"]["mean"],
        }
        for method, which, statistics in answers
    ]
    forms = {"asked for": "d", "named": ".2f", "thought": ".0f", "history items": ".2f"}
    return _plain("answers", "Answers on average: items, thought in characters, history items it mentions", rows, forms)


def beyond_sheets(content: Mapping[str, Any]) -> list[Sheet]:
    """Return what each method's lists hold, a table per test set."""
    sheets = []
    for name, part in content.items():
        rows = references_last([{"method": method, **figures} for method, figures in part["methods"].items()])
        title = (
            f"First {part['k']} candidates, set {name.removeprefix('set')}: {part['lists']:,} lists, "
            f"{part['items']:,} items"
        )
        cells: dict[str, Cell] = {"method": _method}
        for measure in BEYOND:
            cells[measure] = _interval_cell(measure, lambda _: False) if measure in MEANS else number(measure)
        sheets.append(Sheet(name, title, rows, cells, ("method",), _last_learned(rows)))
    return sheets


def change_sheet(means: Means, committed: Means, commit: str) -> Sheet | None:
    """Return the differences of the means to those of the commit; nothing where all of them are equal."""
    rows = []
    for method, kinds in means.items():
        for kind, now in kinds.items():
            before = committed.get(method, {}).get(kind)
            if before and any(now[name] != before[name] for name in METRICS):
                changes = {name: round(now[name] - before[name], 6) for name in METRICS}
                rows.append({"method": method, "ranking": kind, **changes})
    if not rows:
        return None
    cells: dict[str, Cell] = {"method": _method, "ranking": text("ranking")}
    cells |= {name: _change(name) for name in SHOWN}
    title = f"Differences to the committed run ({commit})"
    return Sheet("changes", title, references_last(rows), cells, ("method", "ranking"))


def references_last(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the learned methods first, and the references below them."""
    return sorted(rows, key=lambda row: row["method"] in REFERENCES)


def _rows(intervals: pl.DataFrame | None) -> list[dict[str, Any]]:
    return [] if intervals is None else intervals.to_dicts()


def _means(
    method: str, kind: str, means: Mapping[str, Any], bounds: Mapping[tuple[str, str, str], Row]
) -> dict[str, Any]:
    """Return a row of means with the bounds of their intervals, where they are known."""
    of_metrics = {name: bounds.get((method, kind, name), {}) for name in METRICS}
    row: dict[str, Any] = {"method": method, "records": means["n"], "users": of_metrics["hit@1"].get("users")}
    for name, bound in of_metrics.items():
        row |= {name: means[name], f"{name}_low": bound.get("low"), f"{name}_high": bound.get("high")}
    return row


def _marked(
    name: str, title: str, rows: Sequence[Row], columns: Sequence[str], with_interval: Collection[str]
) -> Sheet:
    """Return a table whose best learned values are marked."""

    def is_best(column: str) -> Callable[[Row], bool]:
        best = {
            kind: best_learned({row["method"]: row[column] for row in rows if row.get("ranking") == kind})
            for kind in {row.get("ranking") for row in rows}
        }
        return lambda row: row[column] > 0 and row["method"] in best[row.get("ranking")]

    cells: dict[str, Cell] = {"method": _method}
    cells |= {"ranking": text("ranking")} if rows and "ranking" in rows[0] else {}
    for column in columns:
        header = f"{column} [95 %]" if column in with_interval and rows[0][f"{column}_low"] is not None else column
        cell = _interval_cell if column in with_interval else _figure_cell
        cells[header] = cell(column, is_best(column))
    return Sheet(name, title, rows, cells, ("method", "ranking"), _last_learned(rows))


def _last_learned(rows: Sequence[Row]) -> list[int]:
    learned = sum(row["method"] not in REFERENCES for row in rows)
    return [learned - 1] if 0 < learned < len(rows) else []


def _method(row: Row) -> Text:
    return Text(row["method"], style="dim" if row["method"] in REFERENCES else "")


def _figure_cell(key: str, is_best: Callable[[Row], bool]) -> Cell:
    def cell(row: Row) -> Text:
        mark, style = (BEST, "bold green") if is_best(row) else ("", "dim" if row["method"] in REFERENCES else "")
        return Text("–" if row[key] is None else f"{mark}{row[key]:.3f}", style=style)

    return cell


def _interval_cell(key: str, is_best: Callable[[Row], bool]) -> Cell:
    figure = _figure_cell(key, is_best)

    def cell(row: Row) -> Text:
        bounds = interval(row.get(f"{key}_low"), row.get(f"{key}_high"))
        return Text.assemble(figure(row), Text(f" {bounds}", style="dim") if bounds else "")

    return cell


def _change(key: str) -> Cell:
    def cell(row: Row) -> Text:
        return Text(f"{row[key]:+.3f}", style="green" if row[key] > 0 else "red" if row[key] < 0 else "dim")

    return cell


def _plain(name: str, title: str, rows: Sequence[Row], forms: Mapping[str, str]) -> Sheet:
    texts = ("method", "test set")
    cells = {header: text(header) for header in texts} | {
        header: number(header, form) for header, form in forms.items()
    }
    return Sheet(name, title, rows, cells, texts)
