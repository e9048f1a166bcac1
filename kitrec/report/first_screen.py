"""The first screen: for every view (test set, domain, target history) the means of all methods, and the answer.

An answer is written from the tests of its view by verdicts.py. Its p-values are corrected by Holm over all pairs of
that view, those of pairs declared beforehand over the declared comparisons. A bound knows what no method may know: it
is shown and never compared. Tables: kitrec/schemas/strata_means.py and comparisons.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from kitrec.core.domains import CORES
from kitrec.report.answers import view_answers
from kitrec.report.chart_parts import axis_top
from kitrec.report.charts import history_names
from kitrec.report.palette import Method

ALL = "all"
METRICS = ("hit@1", "hit@5", "hit@10", "mrr", "ndcg@10")
TITLES = {"hit@1": "Hit@1", "hit@5": "Hit@5", "hit@10": "Hit@10", "mrr": "MRR", "ndcg@10": "NDCG@10"}
SET_NOTES = {"A": "hard candidates", "B": "random candidates"}


@dataclass(frozen=True)
class View:
    """What the switches choose: a test set, a target domain or all, a length of the target history or all."""

    test_set: str
    domain: str = ALL
    core: str = ALL

    @property
    def key(self) -> str:
        """Return the name of the view on the page."""
        return f"{self.test_set}|{self.domain}|{self.core}"

    @property
    def stratum(self) -> tuple[str, str]:
        """Return stratum and member of the table of means."""
        match self.domain, self.core:
            case ("all", "all"):
                return ALL, ALL
            case (domain, "all"):
                return "domain", domain
            case ("all", core):
                return "core", core
            case (domain, core):
                return "domain_core", f"{domain} {core}"


@dataclass(frozen=True)
class FirstScreen:
    """What the first screen is made of: tables by view, methods as they are drawn, and labels of domains."""

    methods: Sequence[Method]
    means: Mapping[str, pl.DataFrame]  # test set -> strata means
    comparisons: Mapping[View, pl.DataFrame]  # all pairs of a view
    declared: pl.DataFrame  # comparisons declared beforehand: of the first test set, all users
    labels: Mapping[str, str]  # target domain -> its label
    answer_items: Mapping[str, int]  # items that written answers were asked for
    notes: Mapping[str, str]  # method -> what it is
    metric: str
    kind: str = "scored"


def views(test_sets: Sequence[str], domains: Sequence[str]) -> list[View]:
    """Return all combinations of the switches; one target domain needs no view of all."""
    shown = [ALL, *domains] if len(domains) > 1 else list(domains)
    return [View(which, domain, core) for which in test_sets for domain in shown for core in (ALL, *CORES)]


def first_screen(screen: FirstScreen) -> dict[str, Any]:
    """Return all that the page's switches choose from, as JSON."""
    shown = {view.key: _view(screen, view) for view in screen.comparisons}
    present = [view for view in screen.comparisons if shown[view.key] is not None]
    domains = list(dict.fromkeys(view.domain for view in present))
    return {
        "sets": [[name, f"{name}: {SET_NOTES.get(name, 'candidates')}"] for name in screen.means],
        "domains": [[name, screen.labels.get(name, "all")] for name in domains],
        "cores": list(dict.fromkeys(view.core for view in present)),
        "kinds": list(dict.fromkeys(kind for view in shown.values() if view for kind in view["means"])),
        "metrics": [[name, TITLES[name]] for name in METRICS],
        "methods": [[m.name, m.role, m.colour, screen.notes.get(m.name, "")] for m in screen.methods],
        "items": dict(screen.answer_items),
        "chosen": {"metric": screen.metric, "kind": screen.kind},
        "views": {key: view for key, view in shown.items() if view is not None},
        "ends": _ends(screen, domains),
    }


def _view(screen: FirstScreen, view: View) -> dict[str, Any] | None:
    """Return numbers and answers of a view, or None where no test user is in it."""
    rows = _rows(screen.means[view.test_set], view)
    if rows.is_empty():
        return None
    means: dict[str, dict[str, dict[str, list[float]]]] = {}
    for row in rows.iter_rows(named=True):
        numbers = [round(row[name], 4) for name in ("mean", "low", "high")]
        means.setdefault(row["kind"], {}).setdefault(row["method"], {})[row["metric"]] = numbers
    declared = screen.declared if (view.domain, view.core) == (ALL, ALL) else None
    declared = declared if view.test_set == next(iter(screen.means)) else None
    roles = {method.name: method.role for method in screen.methods}
    answers = view_answers(means, screen.comparisons[view], declared, roles, screen.answer_items, TITLES)
    size = {name: rows[name][0] for name in ("n", "users", "few")}
    return {**size, "means": means, "answers": answers}


def _rows(means: pl.DataFrame, view: View) -> pl.DataFrame:
    stratum, member = view.stratum
    return means.filter(stratum=stratum, member=member).filter(pl.col("metric").is_in(METRICS))


def _ends(screen: FirstScreen, domains: Sequence[str]) -> dict[str, Any]:
    """Return, for every chart by history, the end of its axis and where the names of lines stand."""
    ends = {}
    for which, means in screen.means.items():
        for domain in domains:
            chosen = means.filter(stratum="core" if domain == ALL else "domain_core")
            core = pl.col("member") if domain == ALL else pl.col("member").str.strip_prefix(f"{domain} ")
            rows = chosen.with_columns(core=core).filter(pl.col("core").is_in(CORES))
            for (kind, metric), part in rows.group_by("kind", "metric"):
                top = axis_top(float(part["high"].max()))  # type: ignore[arg-type]  # a number: groups are not empty
                ends[f"{which}|{domain}|{metric}|{kind}"] = {"top": top, "names": history_names(part, top)}
    return ends
