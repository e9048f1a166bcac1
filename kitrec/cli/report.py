"""`kitrec report`: the report page of a run, from its outputs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from scmrepo.git import Git

from kitrec.cli.repeats import REPEATS
from kitrec.cli.runs import WORKSPACE, fingerprint
from kitrec.core import files, params, tables
from kitrec.core.domains import Domains
from kitrec.core.errors import InputError
from kitrec.evaluation.params import Evaluation
from kitrec.llm.base.pinning import FILE, SERVED, read_pinned
from kitrec.llm.finetuning.origins import read_origin
from kitrec.llm.generation.params import Infer
from kitrec.llm.likelihood.params import Probes
from kitrec.preprocessing.params import Data, Source
from kitrec.prompts.shown_items import candidate_items, history_items
from kitrec.prompts.template import Style, candidate_line, history_line
from kitrec.report import cost_sections, sections
from kitrec.report.adapter_sections import foreign_adapters
from kitrec.report.answer_sections import answers_by_stratum
from kitrec.report.catalogue_section import catalogue_section, read_catalogue
from kitrec.report.headline import cut_note
from kitrec.report.memory_section import memory_sections, read_memory
from kitrec.report.order_section import order_sections, read_orders, read_positions
from kitrec.report.page import Example, Report, Section, page
from kitrec.report.rendering import write_figures
from kitrec.schemas.answers import ANSWERS
from kitrec.schemas.comparisons import COMPARISONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.records import RECORDS
from kitrec.schemas.strata_means import STRATA_MEANS

PAGE, FIGURES = Path("report/index.html"), Path("report/figures")
EXAMPLE_METHOD = "kitrec_full"
STYLE = Style(thinking=True, answer_items=1, summaries=True)


def report() -> None:
    """Write report/index.html (headline, tests, strata, costs, failures, examples) and charts to report/figures."""
    which = params.value(Data, "data.candidate_set")
    means = tables.read(Path("data/analysis/strata_means.parquet"), STRATA_MEANS)
    comparisons = tables.read(Path("data/analysis/comparisons.parquet"), COMPARISONS)
    methods = means["method"].unique()
    answers = {
        name: sets for name, sets in _metrics("metrics/answers").items() if name in methods and f"set{which}" in sets
    }
    ledgers, min_users = _metrics("metrics/cost"), params.value(Evaluation, "evaluation.min_users")
    times = {pair: timing for pair, timing in _metrics("metrics/time").items() if pair in methods}
    users = int(means["n"].max())  # type: ignore[arg-type]  # a count
    seconds = cost_sections.inference_seconds(ledgers, times, f"set{which}", users)
    parts = [
        *sections.warnings(answers, f"set{which}"),
        *foreign_adapters(_origins(list(answers))),
        sections.headline(means, answers, f"set{which}"),
        sections.declared_comparisons(comparisons),
        *_trainings(),
        sections.by_core(means),
        sections.hit_rates(_plot("ranks")),
        sections.set_comparison(_plot("sets")),
        *([catalogue_section(catalogue)] if (catalogue := read_catalogue()) else []),
        *_probes(f"set{which}", [*answers, *(name for name in methods if name.startswith("ilora-"))]),
        sections.calibration(_plot("calibration")),
        sections.strata(means),
        answers_by_stratum(_confidence(which), answers, _metrics("metrics/rationales"), min_users),
        cost_sections.quality_against_cost(means, seconds),
        *([cost_sections.students(means, _metrics("metrics/students"), f"set{which}", seconds)] if times else []),
        cost_sections.stage_costs(ledgers),
        sections.failures(answers, f"set{which}"),
    ]
    source = params.load(Source, "source").kind
    method = EXAMPLE_METHOD if EXAMPLE_METHOD in answers else next(iter(answers), None)
    examples = _examples(which, method) if method and source == "synthetic" else []
    text = page(Report(f"kitrec, set {which}", _facts(which, source, ledgers), parts, examples))
    with files.atomic(PAGE) as draft:
        draft.write_text(text, encoding="utf-8")
    write_figures({part.name: part.chart for part in parts if part.chart}, FIGURES)
    print(PAGE, FIGURES)


def _probes(which: str, prompted: list[str]) -> list[Section]:
    """Return what the order of candidates does, and what the base knows by heart, as far as these params look at it."""
    p = params.load(Probes, "probes")
    by_order = order_sections(read_positions(), read_orders(p.orders), which, prompted)
    return [*by_order, *(section for content in read_memory(p.memory) for section in memory_sections(content, which))]


def _trainings() -> list[Section]:
    """Return what `kitrec repeats` wrote, if it was of these params and this code."""
    if not REPEATS.is_file():
        return []
    repeats = files.read_json(REPEATS)
    return [sections.trainings(repeats)] if repeats["run"] == fingerprint(WORKSPACE) else []


def _metrics(folder: str) -> dict[str, dict[str, Any]]:
    return {path.stem: files.read_json(path) for path in sorted(Path(folder).glob("*.json"))}


def _origins(methods: list[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return method -> its adapters -> their origins, where the adapters lie here."""
    known, models = params.load(Infer, "infer").methods, params.load(Domains, "domains").models
    folders = {name: Path("models") / known[name].model for name in methods if name in known}
    return {
        method: {model: read_origin(folder / model) for model in models if (folder / model).is_dir()}
        for method, folder in folders.items()
    }


def _confidence(which: str) -> dict[str, dict[str, Any]]:
    """Return test set -> method -> its errors, the set of training first."""
    others = [f"set{other}" for other in params.value(Data, "data.test_sets") if other != which]
    names = {f"set{which}": "confidence", **dict.fromkeys(others, "confidence_other_set")}
    return {name: files.read_json(Path(f"metrics/{stem}.json")) for name, stem in names.items()}


def _plot(name: str) -> pl.DataFrame:
    path = Path(f"plots/{name}.csv")
    if not path.exists():
        raise InputError(f"{path} is missing: `dvc repro analyse` writes it, or `dvc pull` fetches it")
    return pl.read_csv(path)


def _facts(which: str, source: str, ledgers: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    git = Git(".")
    ledger = next(iter(ledgers.values()))
    return {
        "commit": git.get_rev() + (" with changes" if git.is_dirty() else ""),
        "data": f"{source}, candidate set {which}. {cut_note(Path('metrics/data.json'))}".removesuffix(". "),
        "base": " served as ".join(dict.fromkeys(read_pinned(path).path for path in (FILE, SERVED))),
        "machine": ", ".join(f"{name} {value}" for name, value in ledger["host"].items()),
        "versions": ", ".join(f"{name} {version}" for name, version in ledger["versions"].items()),
    }


def _examples(which: str, method: str) -> list[Example]:
    """Return a user with a correct answer, one with a wrong answer and one with an unparsable answer."""
    folder = Path("data")
    records = {r["record_id"]: r for r in _rows(folder / f"records/set{which}/test.parquet", RECORDS)}
    texts = {r["record_id"]: r["text"] for r in _rows(folder / f"answers/{method}/set{which}.parquet", ANSWERS)}
    ranked = _rows(folder / f"rankings/{method}/set{which}.parquet", RANKINGS)
    items = {row["item_id"]: row for row in _rows(folder / "items.parquet", ITEMS)}
    categories = {
        "Correct": lambda r, gt_item: r["item_ids"][:1] == [gt_item],
        "Wrong": lambda r, gt_item: r["status"] == "ok" and r["item_ids"][:1] != [gt_item],
        "Not parsable": lambda r, _: r["status"] != "ok",
    }
    examples = []
    for title, fits in categories.items():
        rows = [r for r in ranked if r["kind"] == "written" and fits(r, records[r["record_id"]]["gt_item_id"])]
        if rows:
            record = records[rows[0]["record_id"]]
            examples.append(_example(f"{title} ({rows[0]['status']})", record, items, texts[record["record_id"]]))
    return examples


def _example(title: str, record: Mapping[str, Any], items: Mapping[str, Any], text: str | None) -> Example:
    history = [
        history_line(item, rating, STYLE).strip()
        for side in ("source", "target")
        for item, rating in zip(history_items(record, items, side), record[f"{side}_ratings"], strict=True)
    ]
    shown = zip(record["candidate_ids"], candidate_items(record, items), strict=True)
    candidates = {item: candidate_line(item, facts, STYLE).strip() for item, facts in shown}
    ground_truth = candidates[record["gt_item_id"]]
    return Example(
        f"{title}: {record['user_type']}", history, list(candidates.values()), text or "(none)", ground_truth
    )


def _rows(path: Path, table: tables.Table) -> list[dict[str, Any]]:
    return list(tables.read(path, table).iter_rows(named=True))
