"""`kitrec show`, `tables` and `compare`: results for the terminal and for papers."""

from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from kitrec.cli import runs as named
from kitrec.core import files, params, tables
from kitrec.core.errors import InputError
from kitrec.core.mean_tests import CROSSED_TEST, ONE_TRAINING, PERMUTATION_TEST
from kitrec.evaluation.params import Evaluation
from kitrec.evaluation.run_comparison import compare_runs
from kitrec.llm.likelihood.params import Probes
from kitrec.preprocessing.params import Data
from kitrec.report.catalogue_section import catalogue_table, read_catalogue
from kitrec.report.headline import (
    cut_note,
    headline_tables,
    length_warnings,
    mentions_table,
    prompt_contents_table,
    read_answers,
    requested_items,
)
from kitrec.report.memory_section import memory_table, read_memory
from kitrec.report.order_section import positions_table, read_positions
from kitrec.report.paper_tables import latex, markdown, paper_table
from kitrec.schemas.comparisons import COMPARISONS
from kitrec.schemas.scores import METRICS
from kitrec.schemas.strata_means import STRATA_MEANS

ANALYSIS, PAPER = Path("data/analysis"), Path("report")
ANSWERS, DATA = Path("metrics/answers"), Path("metrics/data.json")
Kind = Annotated[
    str, typer.Option(help="scored (all candidates, the same depth for all methods) or written (parsed from answers)")
]


def show() -> None:
    """Print every ranking's means, Hit@1 by core, ranks among all items, contents of prompts and answers, and hits by
    position and by what the base knows."""
    headline = Path("metrics/evaluate.json")
    Console().print(*headline_tables(headline, Path("metrics/evaluate_strata.json")))
    if catalogue := read_catalogue():
        Console().print(catalogue_table(catalogue))
    answers, which = read_answers(ANSWERS, files.read_json(headline)), params.value(Data, "data.candidate_set")
    if answers:
        Console().print(prompt_contents_table(answers), mentions_table(answers))
    if answers and (positions := read_positions()):
        prompted = list(dict.fromkeys(method for method, *_ in answers))
        Console().print(positions_table(positions, f"set{which}", prompted))
    for memory in read_memory(params.value(Probes, "probes.memory")):
        Console().print(memory_table(memory, f"set{which}"))
    for warning in filter(None, [cut_note(DATA), *length_warnings(answers)]):
        print(f"WARNING: {warning}")


def paper_tables(
    kind: Kind = "scored",
    reference: Annotated[
        str, typer.Option(help="the method that significance stars compare the others with")
    ] = "kitrec_full",
) -> None:
    """Print the headline table as Markdown, and write it to report/ as Markdown and LaTeX."""
    means = tables.read(ANALYSIS / "strata_means.parquet", STRATA_MEANS)
    comparisons = tables.read(ANALYSIS / "comparisons.parquet", COMPARISONS)
    requested = requested_items(read_answers(ANSWERS, means["method"].unique().to_list()))
    table = paper_table(means, comparisons, kind, METRICS, reference, requested, note=cut_note(DATA))
    for ending, text in (("md", markdown(table)), ("tex", latex(table))):
        with files.atomic(PAPER / f"{kind}.{ending}") as draft:
            draft.write_text(text, encoding="utf-8")
    print(markdown(table))


def compare(
    first: Annotated[
        str,
        typer.Argument(help="workspace, an experiment, a git revision or a folder; trainings by commas: a-1,a-2,a-3"),
    ],
    second: Annotated[str, typer.Argument(help="the same")],
    sets: Annotated[str, typer.Option(help="the test sets of first and second, e.g. A,B")] = "A,A",
) -> None:
    """Compare two runs user by user, or one run on both test sets: `kitrec compare workspace workspace --sets A,B`."""
    which = sets.split(",")
    if len(which) != 2:
        raise InputError(f"--sets {sets}: give two sets, for first and second, e.g. A,B")
    p, sides = params.load(Evaluation, "evaluation"), [side.split(",") for side in (first, second)]
    for trainings in (side for side in sides if len(side) > 1):
        named.check_seeds_alone_differ(trainings)
    if max(map(len, sides)) > 1:
        named.check_separate(*sides)
    scores = [[named.scores(run, name) for run in runs] for runs, name in zip(sides, which, strict=True)]
    seed = params.load(int, "seed")
    compared = compare_runs(*scores, resamples=p.resamples, permutations=p.permutations, seed=seed)
    Console().print(_differences(compared, f"{second} (set {which[1]}) minus {first} (set {which[0]})"))
    print(f"{compared['n'].to_list()[0]} users in all runs; 95 % intervals by resampled users; p: {PERMUTATION_TEST}")
    print(ONE_TRAINING if min(map(len, sides)) < 2 else f"p (both): {CROSSED_TEST}")
    left_out = {row["method"]: row["left_out"] for row in compared.iter_rows(named=True) if row["left_out"]}
    methods = [set(table["method"]) for side in scores for table in side]
    unmatched = sorted(set.union(*methods) - set.intersection(*methods))
    if left_out or unmatched:
        print(f"not in all runs: methods {', '.join(unmatched) or 'none'}; records {left_out or 'none'}")


def _differences(compared: pl.DataFrame, title: str) -> Table:
    """Return the differences for the terminal; of several trainings also the p over users and trainings."""
    columns = ["method", "ranking", "metric", "first → second", "95 % CI", "p"]
    both = compared["p_users_and_trainings"].is_not_null().all()
    table = Table(title=title, box=box.SIMPLE_HEAD)
    for name in [*columns, *["p (both)"] * both]:
        table.add_column(name, no_wrap=True)
    for row in compared.filter(compared["metric"].is_in(["hit@1", "mrr", "ndcg@10"])).iter_rows(named=True):
        means, interval = f"{row['first']:.3f} → {row['second']:.3f}", f"{row['low']:+.3f} … {row['high']:+.3f}"
        ps = [f"{row[name]:.1g}" for name in ("p_permutation", *["p_users_and_trainings"] * both)]
        table.add_row(row["method"], row["kind"], row["metric"], means, interval, *ps)
    return table
