"""`kitrec show`, `tables`, `compare`: what came out, for the terminal and for papers."""

from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from rich import box
from rich.console import Console
from rich.table import Table
from scmrepo.exceptions import SCMError

from kitrec.core import files, params, tables
from kitrec.core.errors import InputError
from kitrec.evaluation.params import Evaluation
from kitrec.evaluation.run_comparison import against
from kitrec.report.headline import headline_tables, information_table, naming_table
from kitrec.report.paper_tables import latex, markdown, paper_table
from kitrec.schemas.comparisons import COMPARISONS
from kitrec.schemas.scores import METRICS, SCORES
from kitrec.schemas.strata_means import STRATA_MEANS

ANALYSIS, PAPER = Path("data/analysis"), Path("report")
WORKSPACE = "workspace"
Kind = Annotated[str, typer.Option(help="scored (all candidates, the same depth for all methods) or written")]


def show() -> None:
    """Print every ranking's means, Hit@1 by core, and what each method's prompts show and its answers name."""
    found = headline_tables(Path("metrics/evaluate.json"), Path("metrics/evaluate_strata.json"))
    answers = Path("metrics/answers")
    Console().print(*found, information_table(answers), naming_table(answers))


def paper_tables(
    kind: Kind = "scored",
    reference: Annotated[str, typer.Option(help="the method that stars compare the others with")] = "kitrec_full",
) -> None:
    """Print the paper's table as Markdown, and write it to report/ as Markdown and LaTeX."""
    cells = tables.read(ANALYSIS / "cells.parquet", STRATA_MEANS)
    comparisons = tables.read(ANALYSIS / "comparisons.parquet", COMPARISONS)
    table = paper_table(cells, comparisons, kind, METRICS, reference)
    for ending, text in (("md", markdown(table)), ("tex", latex(table))):
        with files.atomic(PAPER / f"{kind}.{ending}") as draft:
            draft.write_text(text, encoding="utf-8")
    print(markdown(table))


def compare(
    first: Annotated[str, typer.Argument(help="an experiment, a git revision, or `workspace`")],
    second: Annotated[str, typer.Argument(help="the same")],
    sets: Annotated[str, typer.Option(help="the test sets of first and second, e.g. A,B")] = "A,A",
) -> None:
    """Compare two runs user by user; `kitrec compare workspace workspace --sets A,B`: one run on both test sets."""
    which = sets.split(",")
    if len(which) != 2:
        raise InputError(f"--sets {sets}: two sets are needed, for first and second, e.g. A,B")
    p = params.load(Evaluation, "evaluation")
    one, two = (_scores(run, own) for run, own in zip((first, second), which, strict=True))
    found = against(one, two, resamples=p.resamples, flips=p.flips, seed=params.load(int, "seed"))
    table = Table(title=f"{second} (set {which[1]}) minus {first} (set {which[0]})", box=box.SIMPLE_HEAD)
    for name in ("method", "ranking", "metric", "first → second", "95 %", "p"):
        table.add_column(name, no_wrap=True)
    for row in found.filter(found["metric"].is_in(["hit@1", "mrr", "ndcg@10"])).iter_rows(named=True):
        means, interval = f"{row['first']:.3f} → {row['second']:.3f}", f"{row['low']:+.3f} … {row['high']:+.3f}"
        table.add_row(row["method"], row["kind"], row["metric"], means, interval, f"{row['p']:.1g}")
    Console().print(table)
    print(f"{found['n'].to_list()[0]} users who are in both; 95 % intervals by resampled users")
    left_out = {row["method"]: row["left_out"] for row in found.iter_rows(named=True) if row["left_out"]}
    alone = sorted(set(one["method"]) ^ set(two["method"]))
    if left_out or alone:
        print(f"in one run only: methods {', '.join(alone) or 'none'}; records {left_out or 'none'}")


def _scores(run: str, which: str) -> pl.DataFrame:
    """The scores of a run, from the workspace or from DVC's cache."""
    path = Path(f"data/scores/set{which}.parquet")
    if run == WORKSPACE:
        return tables.read(path, SCORES)
    kept = Path(".work/compared") / f"{run}-set{which}.parquet".replace("/", "_")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        DVCFileSystem(".", rev=run).get_file(str(path), str(kept))
    except (DvcException, SCMError, FileNotFoundError) as problem:
        raise InputError(f"{run} holds no {path}: {problem}; see `dvc exp show`, or `dvc pull` it") from None
    return tables.read(kept, SCORES)
