"""The page of two runs from made data: a clear difference, an unclear one, an equal one, a bound, a set that is not
tested, hostile names."""

import polars as pl

from kitrec.report import difference_sections as sections
from kitrec.report.charts import history_chart
from kitrec.report.differences_screen import DifferencesScreen, differences_screen
from kitrec.report.first_screen import METRICS, View, views
from kitrec.report.page import COMPARISON, Report, page
from kitrec.report.palette import methods
from kitrec.report.run_differences import Pairing
from tests.report.test_explorer_users import HOSTILE

ROLES = {"llm": "learned", "seq": "learned", "same": "learned", "pop": "baseline", "oracle": "bound"}
RUNS = ("HEAD", "an-experiment")
P_VALUES = {"llm": 0.01, "seq": 0.03, "same": 1.0, "pop": 0.4, "oracle": 0.0001}
DIFFERENCES = {"llm": 0.1, "seq": -0.05, "same": 0.0, "pop": -0.01, "oracle": 0.2}
REFUSAL = "20 candidates against 30, and a rank among more candidates is another rank"


def made_differences(shift: float = 0.0) -> pl.DataFrame:
    """Both means and tests of a view; written rankings of two methods."""
    rows = [
        {
            "method": name, "kind": kind, "metric": metric, "records_first": 60, "records_second": 60, "n": 58,
            "first": 0.3, "second": 0.3 + difference + shift * (name != "same"),
            "difference": difference + shift * (name != "same"),
            "low": difference - 0.03 * (name != "same"), "high": difference + (0.03 + shift) * (name != "same"),
            "p_permutation": P_VALUES[name], "equal": name == "same",
        }
        for name, difference in DIFFERENCES.items()
        for kind in (("scored", "written") if name in ("llm", "seq") else ("scored",))
        for metric in METRICS
    ]  # fmt: skip
    return pl.DataFrame(rows)


def untested(table: pl.DataFrame) -> pl.DataFrame:
    """Return a view of runs that do not pair."""
    absent = pl.lit(None, dtype=pl.Float64)
    tests = dict.fromkeys(("difference", "low", "high", "p_permutation"), absent)
    return table.with_columns(**tests, n=pl.lit(None, dtype=pl.Int64), equal=pl.lit(False))


def made_screen(**changed: object) -> DifferencesScreen:
    """The screen: set A is tested, set B is not."""
    shown = views("AB", ["movies", "music"])
    tables = {
        view: made_differences(0.01 * k) for k, view in enumerate(shown) if view.core not in ("2", "3", "4", "5-9")
    }
    content = {
        "runs": RUNS,
        "methods": methods(list(ROLES), ROLES),
        "tables": {view: untested(table) if view.test_set == "B" else table for view, table in tables.items()},
        "pairings": {"A": Pairing((60, 62), 60, 58, 4, 1), "B": Pairing((60, 60), refusal=REFUSAL)},
        "alone": {"HEAD": ["gru"], RUNS[1]: []},
        "labels": {"movies": "Movies & TV", "music": "Music"},
        "answer_items": {"llm": (1, 1), "seq": (1, 10)},
        "notes": {"oracle": HOSTILE},
        "metric": "ndcg@10",
        "kind": "scored",
        "min_users": 30,
    }
    return DifferencesScreen(**{**content, **changed})


def made_record(seed: int, code: str) -> dict:
    """What a provenance file holds of a run, as far as the page reads it."""
    values = {"seed": seed, "a.b": HOSTILE if seed > 1 else 2e-4, "c": [1, 2]}
    return {
        "params": {"values": values | ({"only.here": True} if seed > 1 else {})},
        "seeds": {"seed": seed},
        "code": {"stages": {"train": code, "evaluate": "1"}, "changed_since": ["train"] if seed > 1 else []},
        "data": {"inputs": {"raw": "1"}, "outs": {"data/scores": code, "models/base/base.json": "1"}},
    }


RECORDS = (made_record(1, "c0de"), made_record(2, "c0ff"))


def made_comparison(screen: DifferencesScreen | None = None) -> str:
    """Return the whole page."""
    screen = screen or made_screen()
    runs, metrics = screen.runs, ["hit@1", "mrr", "ndcg@10"]
    parts = [
        sections.differences_section(screen, metrics),
        sections.history_section(screen),
        sections.params_section(runs, RECORDS),
        sections.code_section(runs, RECORDS),
        sections.records_section(screen),
        *sections.single_run_section([["HEAD", "A", "gru", "scored", *["0.100"] * 5]], METRICS),
    ]
    facts = {f"first: {runs[0]}": HOSTILE, f"second: {runs[1]}": "commit"}
    chart = history_chart(screen.methods, "difference of METRIC", about_zero=True)
    title = f"What differs between {runs[0]} and {runs[1]}?"
    return page(Report(title, facts, parts, differences_screen(screen), chart, "Note.", layout=COMPARISON))


def view_of(which: str = "A", core: str = "all") -> View:
    """Return a view of all domains."""
    return View(which, "all", core)
