"""The first screen of a comparison of two runs: for every view both values of all rankings, and their difference.

Views and switches are those of first_screen.py; words and families of tests are those of run_differences.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from kitrec.core.domains import CORES
from kitrec.report.chart_parts import axis_reach
from kitrec.report.charts import history_names
from kitrec.report.first_screen import ALL, METRICS, SET_NOTES, TITLES, View
from kitrec.report.palette import Method
from kitrec.report.run_differences import FIRST_ITEM, Change, Pairing, Runs, changes, claims, sentences
from kitrec.report.verdicts import listed


@dataclass(frozen=True)
class DifferencesScreen:
    """What the screen is made of: tables by view (run_differences.py), methods as they are drawn, and labels."""

    runs: Runs
    methods: Sequence[Method]
    tables: Mapping[View, pl.DataFrame]
    pairings: Mapping[str, Pairing]  # test set -> how far the records are the same
    alone: Mapping[str, Sequence[str]]  # run -> methods that the other run has no ranking of
    labels: Mapping[str, str]  # target domain -> its label
    answer_items: Mapping[str, tuple[int | None, int | None]]  # method -> items that its answers were asked for
    notes: Mapping[str, str]  # method -> what it is
    metric: str
    kind: str
    min_users: int

    @property
    def domains(self) -> list[str]:
        """The domains that the switch offers, all together first."""
        return list(dict.fromkeys(view.domain for view in self.tables))

    @property
    def kinds(self) -> list[str]:
        """Kinds of rankings that both runs have."""
        kinds = {kind for table in self.tables.values() for kind in table["kind"]}
        return sorted(kinds) or [self.kind]

    @property
    def chosen_kind(self) -> str:
        """The kind of rankings that the page opens with."""
        return self.kind if self.kind in self.kinds else self.kinds[0]

    def uncompared(self, kind: str, metric: str) -> list[str]:
        """Return the methods whose written answers have another number of items: they compare in the first alone."""
        if kind != "written" or metric == FIRST_ITEM:
            return []
        return [name for name, (first, second) in self.answer_items.items() if first != second]

    def changes(self, view: View, kind: str, metric: str) -> list[Change]:
        """Return the changes of all methods in a view."""
        rows = self.tables[view].filter(kind=kind, metric=metric)
        roles = {method.name: method.role for method in self.methods}
        return changes(rows, self.runs, roles, self.uncompared(kind, metric))

    def sentences(self, view: View, kind: str, metric: str) -> list[str]:
        """Return what the tests of a view support."""
        alone = [f"Only {run} has {listed(names)}." for run, names in self.alone.items() if names]
        if refusal := self.pairings[view.test_set].refusal:
            return [f"No difference is tested: {refusal}.", *alone]
        compared = self.changes(view, kind, metric)
        shown = [name for name in self.uncompared(kind, metric) if name in {change.method for change in compared}]
        return [*sentences(compared, self.runs, TITLES[metric], shown), *alone]

    def claims(self, view: View, kind: str, metric: str) -> list[str]:
        """Return the sentences about tested differences, or that there are none."""
        return claims(self.changes(view, kind, metric), TITLES[metric]) or ["No ranking differs."]


def differences_screen(screen: DifferencesScreen) -> dict[str, Any]:
    """Return all that the page's switches choose from, as JSON."""
    return {
        "runs": list(screen.runs),
        "sets": [[name, f"{name}: {SET_NOTES.get(name, 'candidates')}"] for name in screen.pairings],
        "domains": [[name, screen.labels.get(name, name)] for name in screen.domains],
        "cores": list(dict.fromkeys(view.core for view in screen.tables)),
        "kinds": screen.kinds,
        "metrics": [[name, TITLES[name]] for name in METRICS],
        "methods": [[m.name, m.role, m.colour, screen.notes.get(m.name, "")] for m in screen.methods],
        "chosen": {"metric": screen.metric, "kind": screen.chosen_kind},
        "views": {view.key: _view(screen, view) for view in screen.tables},
        "ends": _ends(screen),
    }


def _view(screen: DifferencesScreen, view: View) -> dict[str, Any]:
    """Return numbers and sentences of a view."""
    table, rows, answers = screen.tables[view], dict[str, dict[str, Any]](), dict[str, dict[str, Any]]()
    for kind in screen.kinds:
        for metric in METRICS:
            for change in screen.changes(view, kind, metric):
                rows.setdefault(kind, {}).setdefault(change.method, {})[metric] = _numbers(change)
            answers.setdefault(kind, {})[metric] = {"sentences": screen.sentences(view, kind, metric)}
    return {"note": _note(screen, view, table), "rows": rows, "answers": answers}


def _numbers(change: Change) -> list[Any]:
    """Return both means, difference with its interval, corrected p and verdict."""
    interval = (None, None, None) if change.interval is None else change.interval
    p = None if change.tested is None else change.tested.p
    numbers = (change.first, change.second, *interval, p)
    return [*(None if number is None else round(number, 4) for number in numbers), change.verdict]


def _note(screen: DifferencesScreen, view: View, table: pl.DataFrame) -> str:
    """Return on how many records and users the numbers of a view rest."""
    whole = screen.pairings[view.test_set].sentence(screen.runs)
    if table.is_empty():
        return whole
    first, second, n = table.row(0, named=True)["records_first"], table["records_second"][0], table["n"][0]
    if n is None:
        counted = f"{first:,} records of {screen.runs[0]} and {second:,} of {screen.runs[1]}"
    else:
        counted = f"{first:,} records of {n:,} users{' (few)' if n < screen.min_users else ''}"
    return f"In this view: {counted}. {whole}"


def _ends(screen: DifferencesScreen) -> dict[str, Any]:
    """Return, for every chart by history, the reach of its axis and where the names of lines stand."""
    ends = {}
    for which in screen.pairings:
        for domain in screen.domains:
            for kind in screen.kinds:
                for metric in METRICS:
                    rows = history_rows(screen, which, domain, kind, metric)
                    if not rows.is_empty():
                        reach = axis_reach(rows)
                        key = f"{which}|{domain}|{metric}|{kind}"
                        ends[key] = {"top": reach, "names": history_names(rows, reach, -reach)}
    return ends


def history_rows(screen: DifferencesScreen, which: str, domain: str, kind: str, metric: str) -> pl.DataFrame:
    """Return method, core, mean (the difference), low, high, n by history, of rankings that differ anywhere."""
    rows = []
    for core in CORES:
        view = View(which, domain, core)
        if view in screen.tables:
            table = screen.tables[view]
            compared = [change for change in screen.changes(view, kind, metric) if change.interval is not None]
            n = None if table.is_empty() else table["n"][0]
            rows += [(change.method, core, *(change.interval or ()), n, change.equal) for change in compared]
    names = ("method", "core", "mean", "low", "high", "n", "equal")
    made = pl.DataFrame(rows, schema=list(names), orient="row") if rows else pl.DataFrame(schema=list(names))
    return made if made.is_empty() else made.filter(~pl.col("equal").all().over("method")).drop("equal")


def whole(which: str, screen: DifferencesScreen) -> View:
    """Return the view of all users of a test set: of one target domain there is no view of several."""
    return View(which, screen.domains[0], ALL)
