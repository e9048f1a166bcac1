"""`kitrec show` and `kitrec tables`: results for the terminal and for papers."""

import json
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from scmrepo.exceptions import SCMError
from scmrepo.git import Git

from kitrec.cli import output
from kitrec.cli import result_sheets as sheets
from kitrec.cli.names import require_name
from kitrec.core import files, params, tables
from kitrec.core.errors import InputError
from kitrec.core.mean_tests import ONE_TRAINING
from kitrec.llm.likelihood.params import Probes
from kitrec.preprocessing.params import Data
from kitrec.report import memory_section, order_section
from kitrec.report.catalogue_section import read_catalogue
from kitrec.report.headline import Answers, cut_note, length_warnings, read_answers, requested_items
from kitrec.report.paper_tables import PaperTable, latex, markdown, paper_table
from kitrec.schemas.comparisons import COMPARISONS
from kitrec.schemas.scores import METRICS
from kitrec.schemas.strata_means import STRATA_MEANS

ANALYSIS, PAPER = Path("data/analysis"), Path("report")
ANSWERS, DATA = Path("metrics/answers"), Path("metrics/data.json")
HEADLINE, STRATA = Path("metrics/evaluate.json"), Path("metrics/evaluate_strata.json")
BEYOND_ACCURACY = Path("metrics/beyond_accuracy.json")
INTERVALS = "[95 %]: BCa interval of the mean, by resampled users."
BEYOND_NOTE = (
    "coverage: share of all candidates that somebody is shown; gini: 0 where all are shown alike; novelty: mean "
    "self-information in bits, by training users; diversity: mean Jaccard distance of categories within a list. Read "
    "them beside random, which shows what the candidates alone give. [95 %]: BCa, by resampled users. Formulas and "
    "sources: docs/specification/evaluation.md."
)
Kind = Annotated[
    str, typer.Option(help="scored (all candidates, the same depth for all methods) or written (parsed from answers)")
]
Beyond = Annotated[
    bool, typer.Option("--beyond", help="instead: coverage, Gini, novelty, diversity of the first ten candidates")
]


@output.prints_tables
def show(beyond: Beyond = False) -> None:
    """Print every ranking's means with intervals, Hit@1 by core, ranks among all items, and what prompts and answers
    hold; and what differs from the committed run."""
    if beyond:
        _show_beyond()
        return
    means = files.read_json(_require(HEADLINE, "evaluate"))
    intervals, problem = _intervals(means)
    for sheet in sheets.headline_sheets(means, intervals, params.value(Data, "data.candidate_set")):
        output.table(sheet)
    output.table(sheets.core_sheet(files.read_json(_require(STRATA, "evaluate"))))
    if catalogue := read_catalogue():
        output.table(sheets.catalogue_sheet(catalogue))
    if answers := read_answers(ANSWERS, means):
        output.table(sheets.prompt_sheet(answers))
        output.table(sheets.mentions_sheet(answers))
    for sheet in _probe_sheets(answers):
        output.table(sheet)
    output.note(f"{sheets.LEGEND} {INTERVALS if intervals is not None else problem} {ONE_TRAINING}")
    _show_changes(means)
    for warning in filter(None, [cut_note(DATA), *length_warnings(answers)]):
        output.note(f"WARNING: {warning}")


@output.prints_tables
def paper_tables(
    kind: Kind = "scored",
    reference: Annotated[
        str, typer.Option(help="the method that significance stars compare the others with")
    ] = "kitrec_full",
) -> None:
    """Print the headline table as Markdown, and write it to report/ as Markdown and LaTeX."""
    means = tables.read(_require(ANALYSIS / "strata_means.parquet", "analyse"), STRATA_MEANS)
    require_name(kind, means["kind"].unique().to_list(), "kind of ranking")
    require_name(reference, means.filter(kind=kind)["method"].unique().to_list(), f"method with a {kind} ranking")
    comparisons = tables.read(ANALYSIS / "comparisons.parquet", COMPARISONS)
    requested = requested_items(read_answers(ANSWERS, means["method"].unique().to_list()))
    made = paper_table(means, comparisons, kind, METRICS, reference, requested, note=cut_note(DATA))
    for ending, content in (("md", markdown(made)), ("tex", latex(made))):
        with files.atomic(PAPER / f"{kind}.{ending}") as draft:
            draft.write_text(content, encoding="utf-8")
    output.plain(markdown(made), _paper_sheet(made, kind))


def _paper_sheet(made: PaperTable, kind: str) -> output.Sheet:
    rows = []
    for method, values in made.rows.items():
        row: dict[str, Any] = {"method": method}
        for metric, value in zip(made.metrics, values, strict=True):
            row |= {metric: value.mean, f"{metric}_best": value.best, f"{metric}_stars": value.stars}
        rows.append(row)
    return output.Sheet(kind, made.caption, rows, {name: output.text(name) for name in ("method", *made.metrics)})


def _require(path: Path, stage: str) -> Path:
    if not path.is_file():
        raise InputError(f"{path} is missing: `dvc repro {stage}` writes it, or `dvc pull` fetches it")
    return path


def _probe_sheets(answers: Answers) -> list[output.Sheet]:
    """Return hits by position in the shown list and by what the base knows, where they were measured."""
    which, measured = f"set{params.value(Data, 'data.candidate_set')}", []
    if answers and (positions := order_section.read_positions()):
        prompted = list(dict.fromkeys(method for method, *_ in answers))
        table = order_section.positions_table(positions, which, prompted)
        measured.append(output.text_sheet("positions", order_section.TITLE, *table))
    for memory in memory_section.read_memory(params.value(Probes, "probes.memory")):
        measured.append(output.text_sheet("memory", memory_section.TITLE, *memory_section.memory_table(memory, which)))
    return measured


def _show_beyond() -> None:
    for sheet in sheets.beyond_sheets(files.read_json(_require(BEYOND_ACCURACY, "evaluate"))):
        output.table(sheet)
    output.note(BEYOND_NOTE)


def _intervals(means: sheets.Means) -> tuple[pl.DataFrame | None, str]:
    """Return the intervals over all users; none where they are missing or of other means, and why."""
    path = ANALYSIS / "strata_means.parquet"
    if not path.is_file():
        return None, f"No intervals: {path} is missing; `dvc repro analyse` writes it, `dvc pull` fetches it."
    overall = tables.read(path, STRATA_MEANS).filter(stratum="all")
    computed = {(row["method"], row["kind"], row["metric"]): row["mean"] for row in overall.iter_rows(named=True)}
    for method, kinds in means.items():
        for kind, row in kinds.items():
            if any(abs(computed.get((method, kind, name), -1.0) - row[name]) > 1e-5 for name in METRICS):
                return None, f"No intervals: {path} is of another run than {HEADLINE}; `dvc repro analyse`."
    return overall, ""


def _show_changes(means: sheets.Means) -> None:
    """Print the differences to the means of the commit, if there is one."""
    try:
        git = Git(".")
        commit = git.get_rev()
        with git.get_fs(commit).open(str(HEADLINE), mode="r") as stream:
            committed = json.load(stream)
    except (SCMError, OSError, ValueError):
        return
    changes = sheets.change_sheet(means, committed, commit[:7])
    if changes is None:
        output.note(f"These are the means of the committed run ({commit[:7]}).")
    else:
        output.table(changes)
        output.note(f"`kitrec compare {commit[:7]} workspace` tests them, where DVC's cache holds that run.")
