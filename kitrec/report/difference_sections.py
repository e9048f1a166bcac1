"""Sections of a comparison of two runs: differences by set, domain and history, and in what the runs differ."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from kitrec.report.charts import differences_chart, filled_history_chart
from kitrec.report.differences_screen import DifferencesScreen, history_rows, whole
from kitrec.report.first_screen import ALL, TITLES, View
from kitrec.report.page import Section
from kitrec.report.reproduction import differing_terms, equal_outs
from kitrec.report.run_differences import CLAIMS, EQUAL, Change, Runs
from kitrec.report.verdicts import listed, p

Record = Mapping[str, Any]  # what a provenance file holds of a run
ABSENT = "–"
_TESTED = ["difference", "95 % CI", "p (Holm)", "what the test supports"]


def differences_section(screen: DifferencesScreen, metrics: Sequence[str]) -> Section:
    """Return the differences of all users by test set and domain, with a picture of the tested ones."""
    panels, findings = {}, []
    for which in screen.pairings:
        view = whole(which, screen)
        points = [point for metric in metrics for point in _points(screen, view, metric)]
        if points:
            panels[f"set {which}"] = differences_chart(pl.DataFrame(points), _minus(screen.runs))
        findings.append(f"Set {which}: {_patterns(screen, view, metrics)}.")
    rows = [
        [view.test_set, _label(screen, view), change.method, kind, TITLES[metric], *_cells(change)]
        for view in screen.tables
        if view.core == ALL
        for kind in screen.kinds
        for metric in metrics
        for change in screen.changes(view, kind, metric)
    ]
    columns = ["set", "domain", "method", "rankings", "metric", *screen.runs, *_TESTED]
    text = f"D{_minus(screen.runs)[1:]}; the picture shows {screen.chosen_kind} rankings, the table all of them."
    return Section(
        "Differences", text, columns, rows, panels=panels, collapsed=True,
        question="Which methods differ, in which test set and domain?", finding=" ".join(findings),
    )  # fmt: skip


def history_section(screen: DifferencesScreen) -> Section:
    """Return the differences of the main metric by target history, a panel per domain of the first test set."""
    first, kind, metric = next(iter(screen.pairings)), screen.chosen_kind, screen.metric
    panels = {}
    for domain in screen.domains:
        rows = history_rows(screen, first, domain, kind, metric)
        if not rows.is_empty() and (domain != ALL or len(screen.domains) == 1):
            title = f"difference of {TITLES[metric]}"
            panels[screen.labels.get(domain, domain)] = filled_history_chart(
                screen.methods, title, rows, about_zero=True
            )
    ends = {"1": "With a single target interaction, the held-out one", "10+": "With ten and more"}
    views = {core: View(first, screen.domains[0], core) for core in ends}
    refusal = screen.pairings[first].refusal
    finding = " ".join(
        f"{ends[core]}: {' '.join(screen.claims(view, kind, metric))}"
        for core, view in views.items()
        if view in screen.tables and panels
    )
    rows_of_table = [
        [
            view.test_set,
            _label(screen, view),
            view.core,
            str(screen.tables[view]["n"][0]),
            change.method,
            *_cells(change),
        ]
        for view in screen.tables
        if view.core != ALL
        for change in screen.changes(view, kind, metric)
        if change.verdict != EQUAL and change.interval is not None
    ]
    columns = ["set", "domain", "target history", "users", "method", *screen.runs, *_TESTED]
    text = (
        f"{TITLES[metric]} of {kind} rankings by target interactions, the held-out one included; p is corrected over "
        "the rankings of a stratum, not over strata. Rankings with the same scores in both runs are left out."
    )
    question = "Where do the runs differ: at which length of the target history?"
    return Section(
        "By target history", text, columns, rows_of_table, panels=panels, collapsed=True, question=question,
        finding=finding or f"No {f'difference is tested: {refusal}' if refusal else 'ranking differs in any stratum'}.",
    )  # fmt: skip


def params_section(runs: Runs, records: tuple[Record, Record]) -> Section:
    """Return the params that differ."""
    first, second = (record["params"]["values"] for record in records)
    rows = [[key, *values] for key, values in _different(first, second)]
    finding = (
        f"{len(rows)} of {len({**first, **second})} params differ{'s' * (len(rows) == 1)}."
        if rows
        else "No param differs."
    )
    return Section("Params", "", ["key", *runs], rows, question="Which params differ?", finding=finding)


def code_section(runs: Runs, records: tuple[Record, Record]) -> Section:
    """Return the stages that ran with other code, other inputs and another base, and how many outs are equal."""
    terms = [term for term in differing_terms(*records) if term[0] != "param"]
    rows = [[f"{kind} {key}", *(ABSENT if value is None else str(value) for value in values)]
            for kind, key, *values in terms]  # fmt: skip
    other_code, (equal, unequal) = sum(kind == "code of" for kind, *_ in terms), equal_outs(*records)
    code = f"{_count(other_code, 'stage')} ran with other code." if other_code else "All stages ran with the same code."
    are = "is" if len(equal) == 1 else "are"
    outs = f"Of the {len(equal) + len(unequal)} outs that both runs have, {len(equal)} {are} equal byte for byte."
    changed_since = [
        f"In {run} the code of {listed(record['code']['changed_since'])} has changed since it ran."
        for run, record in zip(runs, records, strict=True)
        if record["code"]["changed_since"]
    ]
    text = "Fingerprints of code.yaml that the stages of both runs ran with, and hashes of inputs, from dvc.lock."
    question = "Did other code, inputs or another base make the runs?"
    finding = f"{code} {outs}"
    return Section(
        "Code and inputs", " ".join([text, *changed_since]), ["what", *runs], rows, question=question, finding=finding
    )


def records_section(screen: DifferencesScreen) -> Section:
    """Return how far the test records of the runs are the same."""
    rows = [
        [which, f"{pairing.records[0]:,}", f"{pairing.records[1]:,}", f"{pairing.shared:,}", f"{pairing.users:,}",
         f"{pairing.other_candidates:,}", f"{pairing.other_held_out:,}"]
        for which, pairing in screen.pairings.items()
    ]  # fmt: skip
    columns = ["set", *(f"records of {run}" for run in screen.runs), "in both", "users", "other candidates"]
    text = " ".join(f"Set {which}: {pairing.sentence(screen.runs)}" for which, pairing in screen.pairings.items())
    return Section("Test records", text, [*columns, "other held-out item"], rows)


def single_run_section(means: Sequence[Sequence[str]], metrics: Sequence[str]) -> list[Section]:
    """Return the rankings that only one of the runs has: run, set, method, kind and means."""
    text = "Nothing compares these: the other run has no ranking of that method and kind."
    columns = ["run", "set", "method", "rankings", *(TITLES[metric] for metric in metrics)]
    return [Section("In one run alone", text, columns, [list(row) for row in means])] if means else []


def _points(screen: DifferencesScreen, view: View, metric: str) -> Iterator[dict[str, Any]]:
    """Yield the tested differences of a metric as points of the picture."""
    for change in screen.changes(view, screen.chosen_kind, metric):
        if change.tested is not None:
            test = change.tested
            yield {"group": change.method, "metric": TITLES[metric], "difference": test.value, "low": test.low,
                   "high": test.high, "p": p(test.p), "verdict": test.verdict}  # fmt: skip


def _patterns(screen: DifferencesScreen, view: View, metrics: Sequence[str]) -> str:
    """Return in which metrics the second run is ahead, behind or neither, methods of one pattern in one clause."""
    if refusal := screen.pairings[view.test_set].refusal:
        return f"no difference is tested: {refusal}"
    verdicts: dict[str, dict[str, list[str]]] = {}
    for metric in metrics:
        for change in screen.changes(view, screen.chosen_kind, metric):
            verdicts.setdefault(change.method, {}).setdefault(change.verdict, []).append(TITLES[metric])
    patterns: dict[str, list[str]] = {}
    for method, by_verdict in verdicts.items():
        claims = [f"{verdict} in {listed(by_verdict[verdict])}" for verdict in CLAIMS if verdict in by_verdict]
        if claims:
            patterns.setdefault(", ".join(claims), []).append(method)
    clauses = "; ".join(f"{listed(methods)} {pattern}" for pattern, methods in patterns.items())
    against = f"{screen.runs[1]} against {screen.runs[0]}"
    return f"{against}, {clauses}" if clauses else "no ranking that is tested differs in any record"


def _cells(change: Change) -> list[str]:
    values = [f"{change.first:.3f}", f"{change.second:.3f}"]
    if change.interval is None or change.verdict == EQUAL:
        return [*values, ABSENT if change.interval is None else "0", ABSENT, ABSENT, change.verdict]
    difference, low, high = change.interval
    corrected = ABSENT if change.tested is None else f"{change.tested.p:.2g}"
    return [*values, f"{difference:+.3f}", f"{low:+.3f} … {high:+.3f}", corrected, change.verdict]


def _label(screen: DifferencesScreen, view: View) -> str:
    return screen.labels.get(view.domain, view.domain)


def _minus(runs: Runs) -> str:
    return f"difference of means, {runs[1]} minus {runs[0]}"


def _different(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, tuple[str, str]]]:
    """Return key -> both values as texts, of the keys whose values differ."""
    keys = sorted({**first, **second}, key=str)
    return [
        (key, (_text(first, key), _text(second, key)))
        for key in keys
        if (key in first) != (key in second) or first.get(key) != second.get(key)
    ]


def _text(values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return ABSENT
    value = values[key]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
