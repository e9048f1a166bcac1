"""`kitrec report`: the page that tells a run, from the files it left."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from scmrepo.git import Git

from kitrec.core import files, params, tables
from kitrec.core.errors import InputError
from kitrec.preprocessing.params import Data, Source
from kitrec.prompts.template import Style, candidate_line, history_line
from kitrec.report import sections
from kitrec.report.page import Example, Report, page
from kitrec.report.rendering import write_figures
from kitrec.report.serving_costs import seconds_per_user
from kitrec.schemas.answers import ANSWERS
from kitrec.schemas.comparisons import COMPARISONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.records import RECORDS
from kitrec.schemas.strata_means import STRATA_MEANS

PAGE, FIGURES = Path("report/index.html"), Path("report/figures")
SHOWN_METHOD = "kitrec_full"
STYLE = Style(thinking=True, answer_items=1, summaries=True)


def report() -> None:
    """Write report/index.html: headline, tests, strata, costs, failures, examples; its charts to report/figures."""
    which = params.value(Data, "data.candidate_set")
    cells = tables.read(Path("data/analysis/cells.parquet"), STRATA_MEANS)
    comparisons = tables.read(Path("data/analysis/comparisons.parquet"), COMPARISONS)
    methods = cells["method"].unique()
    answers = {
        name: own for name, own in _metrics("metrics/answers").items() if name in methods and f"set{which}" in own
    }
    ledger = _metrics("metrics/cost")
    times = {pair: own for pair, own in _metrics("metrics/time").items() if pair in methods}
    paces = seconds_per_user(ledger, times, f"set{which}", int(cells["n"].max()))  # type: ignore[arg-type]  # a count
    parts = [
        sections.headline(cells),
        sections.declared(comparisons),
        sections.cores(cells),
        sections.ranks(_plot("ranks")),
        sections.both_sets(_plot("sets")),
        sections.confidence(_plot("calibration")),
        sections.strata(cells),
        sections.quality_against_cost(cells, paces),
        *([sections.students(cells, _metrics("metrics/students"), paces)] if times else []),
        sections.costs(ledger),
        sections.failures(answers, f"set{which}"),
    ]
    source = params.load(Source, "source").kind
    shown = SHOWN_METHOD if SHOWN_METHOD in answers else next(iter(answers), None)
    examples = _examples(which, shown) if shown and source == "synthetic" else []
    text = page(Report(f"kitrec, set {which}", _facts(which, source, ledger), parts, examples))
    with files.atomic(PAGE) as draft:
        draft.write_text(text, encoding="utf-8")
    write_figures({part.name: part.chart for part in parts if part.chart}, FIGURES)
    print(PAGE, FIGURES)


def _metrics(folder: str) -> dict[str, dict[str, Any]]:
    return {path.stem: files.read_json(path) for path in sorted(Path(folder).glob("*.json"))}


def _plot(name: str) -> pl.DataFrame:
    path = Path(f"plots/{name}.csv")
    if not path.exists():
        raise InputError(f"{path} is missing: `dvc repro analyse` writes it, or `dvc pull` fetches it")
    return pl.read_csv(path)


def _facts(which: str, source: str, ledger: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    git = Git(".")
    host = next(iter(ledger.values()))
    return {
        "commit": git.get_rev() + (" and changes" if git.is_dirty() else ""),
        "data": f"{source}, candidate set {which}",
        "base": files.read_json(Path("models/base/base.json"))["path"],
        "machine": ", ".join(f"{name} {value}" for name, value in host["host"].items()),
        "versions": ", ".join(f"{name} {version}" for name, version in host["versions"].items()),
    }


def _examples(which: str, method: str) -> list[Example]:
    """A user the method was right about, one it was wrong about, one whose answer could not be read."""
    folder = Path("data")
    records = {r["record_id"]: r for r in _rows(folder / f"records/set{which}/test.parquet", RECORDS)}
    texts = {r["record_id"]: r["text"] for r in _rows(folder / f"answers/{method}/set{which}.parquet", ANSWERS)}
    ranked = _rows(folder / f"rankings/{method}/set{which}.parquet", RANKINGS)
    items = {row["item_id"]: row for row in _rows(folder / "items.parquet", ITEMS)}
    wanted = {
        "Right": lambda r, truth: r["item_ids"][:1] == [truth],
        "Wrong": lambda r, truth: r["status"] == "ok" and r["item_ids"][:1] != [truth],
        "Not readable": lambda r, _: r["status"] != "ok",
    }
    found = []
    for title, fits in wanted.items():
        rows = [r for r in ranked if r["kind"] == "written" and fits(r, records[r["record_id"]]["gt_item_id"])]
        if rows:
            record = records[rows[0]["record_id"]]
            found.append(_example(f"{title} ({rows[0]['status']})", record, items, texts[record["record_id"]]))
    return found


def _example(title: str, record: Mapping[str, Any], items: Mapping[str, Any], text: str | None) -> Example:
    known = [
        history_line(items[item], rating, STYLE).strip()
        for side in ("source", "target")
        for item, rating in zip(record[f"{side}_items"], record[f"{side}_ratings"], strict=True)
    ]
    offered = [candidate_line(item, items[item], STYLE).strip() for item in record["candidate_ids"]]
    truth = candidate_line(record["gt_item_id"], items[record["gt_item_id"]], STYLE).strip()
    return Example(f"{title}: {record['user_type']}", known, offered, text or "(none)", truth)


def _rows(path: Path, table: tables.Table) -> list[dict[str, Any]]:
    return list(tables.read(path, table).iter_rows(named=True))
