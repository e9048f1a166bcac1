"""`kitrec repeats` and `kitrec power`: what several trainings say, and how many of them and of users one needs."""

import math
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from kitrec.cli import output
from kitrec.cli import runs as named
from kitrec.cli.compare import p_value
from kitrec.cli.names import require_name
from kitrec.cli.output import Cell, Row, Sheet, number, text
from kitrec.core import files, params
from kitrec.core.errors import InputError
from kitrec.core.mean_tests import CROSSED_TEST, ONE_TRAINING, PERMUTATION_TEST, variances
from kitrec.evaluation.bootstrap import Resampling
from kitrec.evaluation.params import Evaluation
from kitrec.evaluation.power import of_column, users_needed
from kitrec.evaluation.repeats import align, pair_differences, repeat_comparisons, repeat_means
from kitrec.preprocessing.params import Data
from kitrec.schemas.scores import METRICS

REPEATS = Path("metrics/repeats.json")
SHOWN = ("hit@1", "mrr", "ndcg@10")
SOURCES = ("users", "trainings", "rest")
TRAININGS = (3, 5, 10, 20)  # of each method, in the table of `kitrec power`
Runs = Annotated[
    list[str], typer.Argument(help="workspace, experiments, git revisions or folders: one training each, by seed")
]
Set = Annotated[str | None, typer.Option("--set", help="the test set; default: data.candidate_set")]


@output.prints_tables
def repeats(runs: Runs, which: Set = None) -> None:
    """Compare methods over several trainings: runs that differ by their seed alone (specification/evaluation.md)."""
    if len(runs) < 2:
        raise InputError(f"{' '.join(runs)}: one training has no variance between trainings; name two runs or more")
    seeds, which = named.check_seeds_alone_differ(runs), which or params.value(Data, "data.candidate_set")
    trainings = align([named.scores(run, which) for run in runs])
    p, resampling_seed = params.load(Evaluation, "evaluation"), params.load(int, "seed")
    resampling = Resampling(p.resamples, resampling_seed)
    means = repeat_means(trainings, resampling)
    compared = repeat_comparisons(trainings, p.family, permutations=p.permutations, resampling=resampling)
    facts = {"seeds": seeds, "set": which, "users": trainings.by_user.shape[1], "run": named.fingerprint(runs[0])}
    files.write_json({**facts, "means": _rows(means), "comparisons": _rows(compared)}, REPEATS)
    title = f"{len(runs)} trainings, {facts['users']} users, set {which}"
    for kind in means["kind"].unique().sort().to_list():
        output.table(_means_sheet(means.filter(kind=kind), kind, title))
    output.table(_users_sheet(compared))
    output.table(_both_sheet(compared))
    output.note(f"[95 %] and p: of the users of these trainings alone, BCa by resampled users and {PERMUTATION_TEST}")
    output.note(
        f"(both): {CROSSED_TEST}; sd: between trainings; Holm: corrected for the declared comparisons\n{REPEATS}"
    )
    if len(runs) == 2:
        output.note("WARNING: two trainings estimate the variance between them by one number; three or more are needed")


@output.prints_tables
def power(
    difference: Annotated[float, typer.Argument(help="a difference of means worth noticing, e.g. 0.01")],
    runs: Annotated[list[str] | None, typer.Argument(help="as of `kitrec repeats`; default: workspace")] = None,
    metric: Annotated[str, typer.Option(help="one of the scores")] = "ndcg@10",
    alpha: Annotated[float, typer.Option(min=1e-9, max=0.5, help="two-sided")] = 0.05,
    power: Annotated[float, typer.Option(min=0.05, max=0.9999)] = 0.8,
    which: Set = None,
) -> None:
    """Print how many test users and trainings a difference of the declared pairs needs, by the variances of runs."""
    require_name(metric, METRICS, "metric (--metric)")
    if difference == 0:
        raise InputError(f"{difference} in {metric}: give a difference other than 0")
    runs = runs or [named.WORKSPACE]
    if len(runs) > 1:
        named.check_seeds_alone_differ(runs)
    which, p = which or params.value(Data, "data.candidate_set"), params.load(Evaluation, "evaluation")
    trainings = align([named.scores(run, which) for run in runs])
    measured = variances(pair_differences(trainings, p.family, [metric]))
    title = f"Test users for {abs(difference)} in {metric} with power {power} at alpha {alpha} (two-sided), set {which}"
    rows = []
    for column, pair in enumerate(p.family.pairs):
        v = of_column(measured, column)
        row: dict[str, Any] = {"pair": " – ".join(pair)}
        row |= dict(zip(SOURCES, (None if math.isnan(value) else math.sqrt(value) for value in v), strict=True))
        for count in (None, *TRAININGS):
            known = count is None or len(runs) > 1
            row[_trainings(count)] = users_needed(difference, count, v, alpha, power) if known else None
            row[f"{_trainings(count)} is enough"] = not known or row[_trainings(count)] is not None
        rows.append(row)
    names: dict[str, Cell] = {"pair": text("pair")}
    deviations = [{name: row[name] for name in ("pair", *SOURCES)} for row in rows]
    cells = names | {name: number(name) for name in SOURCES}
    output.table(Sheet("deviations", "Standard deviations of the difference, by source", deviations, cells, ("pair",)))
    counts = [None] if len(runs) == 1 else [None, *TRAININGS]
    cells = names | {_trainings(count): _users(_trainings(count)) for count in counts}
    output.table(Sheet("power", title, rows, cells, ("pair",)))
    measured_by = f"measured by {trainings.by_user.shape[1]} users and {len(runs)} training" + "s" * (len(runs) > 1)
    output.note(f"{measured_by}; columns: trainings of each method; one as it is: a claim about that one alone")
    if len(runs) == 1:
        output.note(f"{ONE_TRAINING} Name runs of several seeds, as for `kitrec repeats`, to know it")


def _trainings(count: int | None) -> str:
    return "one as it is" if count is None else str(count)


def _users(key: str) -> Cell:
    """Return the cell of a number of users; `no number` where no number of users is enough."""
    return lambda row: f"{row[key]:,}" if row[key] is not None else "–" if row[f"{key} is enough"] else "no number"


def _means_sheet(means: pl.DataFrame, kind: str, title: str) -> Sheet:
    """Return the means of one kind of ranking over trainings, with their spread."""
    rows = means.filter(pl.col("metric").is_in(SHOWN)).to_dicts()
    cells: dict[str, Cell] = {"method": text("method"), "metric": text("metric")}
    cells |= {"mean [95 %]": _bounded("mean", "low", "high"), "(both)": _bounds("low_both", "high_both")}
    cells |= {"sd": number("sd_trainings", ".4f")}
    return Sheet(kind, f"{title}, {kind} rankings", rows, cells, ("method", "metric"), figures=_rows(means))


def _users_sheet(compared: pl.DataFrame) -> Sheet:
    """Return the declared comparisons over the users of these trainings alone."""
    cells = _pair_cells() | {"difference [95 %]": _bounded("difference", "low", "high", "+.3f")}
    cells |= {"p": _p("p_permutation")}
    title = "Declared comparisons, methods in pairs by seed: users alone"
    return Sheet("comparisons", title, compared.to_dicts(), cells, ("pair", "metric"), figures=_rows(compared))


def _both_sheet(compared: pl.DataFrame) -> Sheet:
    """Return them over users and trainings."""
    cells = _pair_cells() | {"difference [95 %] (both)": _bounded("difference", "low_both", "high_both", "+.3f")}
    cells |= {"p (both)": _p("p_users_and_trainings"), "Holm": _p("p_holm")}
    names = ["method", "other", "metric", "difference", "low_both", "high_both", "p_users_and_trainings", "p_holm"]
    figures = _rows(compared.select(names))
    title = "Declared comparisons: users and trainings"
    return Sheet("comparisons_of_both", title, compared.to_dicts(), cells, ("pair", "metric"), figures=figures)


def _pair_cells() -> dict[str, Cell]:
    return {"pair": lambda row: f"{row['method']} – {row['other']}", "metric": text("metric")}


def _bounded(key: str, low: str, high: str, form: str = ".3f") -> Cell:
    return lambda row: f"{format(row[key], form)} {output.interval(row[low], row[high], form)}"


def _bounds(low: str, high: str, form: str = ".3f") -> Cell:
    return lambda row: output.interval(row[low], row[high], form)


def _p(key: str) -> Cell:
    def cell(row: Row) -> str:
        return p_value(row[key])

    return cell


def _rows(table: pl.DataFrame) -> list[dict[str, Any]]:
    p = pl.selectors.starts_with("p_")
    return table.with_columns((pl.selectors.float() - p).round(6), p.round_sig_figs(3)).to_dicts()
