"""`kitrec report`: the report page of a run, from its outputs; of two runs report_comparison.py."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from kitrec.cli import report_inputs as inputs
from kitrec.cli.report_comparison import write_comparison
from kitrec.cli.report_users import explorer_people, failure_examples
from kitrec.cli.report_views import drawn_methods, screen_of_run
from kitrec.core import files, params, tables
from kitrec.core.domains import Domains
from kitrec.core.errors import InputError
from kitrec.core.mean_tests import ONE_TRAINING, PERMUTATION_TEST
from kitrec.evaluation.params import Evaluation
from kitrec.llm.likelihood.params import Probes
from kitrec.preprocessing.params import Data, Source
from kitrec.report import cost_sections, questions, run_sections, sections
from kitrec.report.adapter_sections import foreign_adapters
from kitrec.report.answer_sections import answers_by_stratum
from kitrec.report.calibration_section import calibration_question
from kitrec.report.catalogue_section import catalogue_section, read_catalogue
from kitrec.report.charts import history_chart
from kitrec.report.memory_section import memory_sections, read_memory
from kitrec.report.order_section import order_sections, read_orders, read_positions
from kitrec.report.page import Report, Section, page
from kitrec.report.palette import Method
from kitrec.report.rendering import write_figures
from kitrec.schemas.comparisons import COMPARISONS
from kitrec.schemas.strata_means import STRATA_MEANS

PAGE, FIGURES = Path("report/index.html"), Path("report/figures")
GRAPH = Path("dvc.yaml")


def report(
    first: Annotated[
        str | None, typer.Argument(help="compare this run: an experiment, a git revision or workspace")
    ] = None,
    second: Annotated[str | None, typer.Argument(help="with this one")] = None,
) -> None:
    """Write report/index.html (answer, research questions, users, costs, failures, strata) and report/figures; of two
    runs report/comparison.html (second minus first: differences with their tests, by history, params, code).

    kitrec report; kitrec report HEAD workspace; kitrec report HEAD set-b"""
    if first is None:
        _write_report()
    elif second is None:
        raise InputError(f"kitrec report {first}: name two runs, e.g. `kitrec report {first} workspace`")
    else:
        write_comparison(first, second)


def _write_report() -> None:
    """Write the page of the run in this folder."""
    which = params.value(Data, "data.candidate_set")
    means = tables.read(Path("data/analysis/strata_means.parquet"), STRATA_MEANS)
    comparisons = tables.read(Path("data/analysis/comparisons.parquet"), COMPARISONS)
    names, drawn = means["method"].unique(), drawn_methods(means)
    answers = {
        name: sets
        for name, sets in inputs.metrics("metrics/answers").items()
        if name in names and f"set{which}" in sets
    }
    screen = screen_of_run(drawn, means, comparisons)
    ledgers = inputs.metrics("metrics/cost")
    parts = [
        *_questions(which, drawn, means, comparisons, screen, ledgers),
        *sections.warnings(answers, f"set{which}"),
        *_probes(f"set{which}", [*answers, *(name for name in names if name.startswith("ilora-"))]),
        *_run_sections(which, drawn, means, answers, ledgers),
        *_details(which, drawn, means, answers, ledgers),
    ]
    source = params.load(Source, "source").kind
    people = explorer_people(drawn) if source == "synthetic" else None
    content = Report(
        _title(),
        inputs.run_facts(which, source, ledgers),
        parts,
        screen,
        history_chart(drawn, "METRIC"),
        _method_note(which),
        people,
    )
    with files.atomic(PAGE) as draft:
        draft.write_text(page(content), encoding="utf-8")
    write_figures({name: chart for part in parts for name, (_, chart) in part.charts.items()}, FIGURES)
    print(PAGE, FIGURES)


def _questions(
    which: str,
    drawn: list[Method],
    means: pl.DataFrame,
    comparisons: pl.DataFrame,
    screen: Mapping[str, Any],
    ledgers: Mapping[str, Mapping[str, Any]],
) -> list[Section]:
    p, labels = params.load(Evaluation, "evaluation"), params.load(Domains, "domains").labels
    seconds = cost_sections.inference_seconds(
        ledgers, inputs.student_times(means), f"set{which}", inputs.test_records(means)
    )
    effects = files.read_json(Path("metrics/ablation.json"))
    metric = screen["chosen"]["metric"]
    return [
        questions.ablation_question(effects, p.ablation.methods, p.ablation.kind, means),
        questions.declared_question(comparisons),
        questions.history_question(drawn, means, screen, metric, labels),
        calibration_question(drawn, inputs.plot("calibration"), inputs.confidence_errors(which)[f"set{which}"]),
        cost_sections.quality_against_cost(drawn, means, seconds),
    ]


def _run_sections(
    which: str, drawn: list[Method], means: pl.DataFrame, answers: Mapping[str, Any], ledgers: Mapping[str, Any]
) -> list[Section]:
    """Return what the run did and where it failed."""
    source = params.load(Source, "source").kind
    examples = failure_examples(which, list(answers)) if source == "synthetic" else []
    family = params.load(Evaluation, "evaluation").family
    return [
        run_sections.timeline(ledgers, list(params.read(GRAPH)["stages"])),
        *run_sections.training(inputs.training_curves(), inputs.metrics("metrics/train")),
        *run_sections.failure_section(answers, f"set{which}", examples),
        run_sections.strata_section(drawn, means, family.metrics[::-1]),
    ]


def _probes(which: str, prompted: list[str]) -> list[Section]:
    """Return what the order of candidates does, and what the base knows by heart, as far as these params look at it."""
    p = params.load(Probes, "probes")
    by_order = order_sections(read_positions(), read_orders(p.orders), which, prompted)
    return [*by_order, *(section for content in read_memory(p.memory) for section in memory_sections(content, which))]


def _details(
    which: str, drawn: list[Method], means: pl.DataFrame, answers: Mapping[str, Any], ledgers: Mapping[str, Any]
) -> list[Section]:
    """Return tables and charts behind the questions."""
    times, min_users = inputs.student_times(means), params.value(Evaluation, "evaluation.min_users")
    seconds = cost_sections.inference_seconds(ledgers, times, f"set{which}", inputs.test_records(means))
    return [
        *inputs.trainings(),
        sections.hit_rates(drawn, inputs.plot("ranks")),
        sections.set_comparison(drawn, inputs.plot("sets")),
        *([catalogue_section(catalogue)] if (catalogue := read_catalogue()) else []),
        *([cost_sections.students(means, inputs.metrics("metrics/students"), f"set{which}", seconds)] if times else []),
        *foreign_adapters(inputs.adapter_origins(list(answers))),
        answers_by_stratum(inputs.confidence_errors(which), answers, inputs.metrics("metrics/rationales"), min_users),
        sections.headline(means, answers, f"set{which}"),
    ]


def _title() -> str:
    domains = params.load(Domains, "domains")
    targets = " or ".join(domains.labels[name] for name in domains.targets)
    return f"Which method best ranks what a user takes next in {targets}, from a history of {domains.label}?"


def _method_note(which: str) -> str:
    """Return how the numbers of the first screen came about."""
    return (
        f"Means over test records with 95 % BCa intervals by resampled users; models learned with set {which}. Claims: "
        f"{PERMUTATION_TEST}; p corrected by Holm over the declared comparisons (all users of set {which}), else over "
        "all pairs of the view. Scored rankings order all candidates, written ones are parsed from answers. "
        f"{ONE_TRAINING}"
    )
