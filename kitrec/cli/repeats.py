"""`kitrec repeats` and `kitrec power`: what several trainings say, and how many of them and of users one needs."""

import math
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from kitrec.cli import runs as named
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
TRAININGS = (3, 5, 10, 20)  # of each method, in the table of `kitrec power`
Runs = Annotated[
    list[str], typer.Argument(help="workspace, experiments, git revisions or folders: one training each, by seed")
]
Set = Annotated[str | None, typer.Option("--set", help="the test set; default: data.candidate_set")]


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
    Console().print(means_table(means, title), comparisons_table(compared))
    print(f"p (users): {PERMUTATION_TEST}, of these trainings alone")
    print(f"p (both): {CROSSED_TEST}, corrected by Holm\n{REPEATS}")
    if len(runs) == 2:
        print("WARNING: two trainings estimate the variance between them by one number; three or more are needed")


def power(
    difference: Annotated[float, typer.Argument(help="a difference of means worth noticing, e.g. 0.01")],
    runs: Annotated[list[str] | None, typer.Argument(help="as of `kitrec repeats`; default: workspace")] = None,
    metric: Annotated[str, typer.Option(help="one of the scores")] = "ndcg@10",
    alpha: Annotated[float, typer.Option(min=1e-9, max=0.5, help="two-sided")] = 0.05,
    power: Annotated[float, typer.Option(min=0.05, max=0.9999)] = 0.8,
    which: Set = None,
) -> None:
    """Print how many test users and trainings a difference of the declared pairs needs, by the variances of runs."""
    if metric not in METRICS or difference == 0:
        raise InputError(f"{difference} in {metric}: give a difference other than 0 in one of {', '.join(METRICS)}")
    runs = runs or [named.WORKSPACE]
    if len(runs) > 1:
        named.check_seeds_alone_differ(runs)
    which, p = which or params.value(Data, "data.candidate_set"), params.load(Evaluation, "evaluation")
    trainings = align([named.scores(run, which) for run in runs])
    measured = variances(pair_differences(trainings, p.family, [metric]))
    title = f"Test users for {abs(difference)} in {metric} with power {power} at alpha {alpha} (two-sided), set {which}"
    table = _table(title, ("pair", "sd: users", "trainings", "rest", "one as it is", *map(str, TRAININGS)))
    for column, pair in enumerate(p.family.pairs):
        v = of_column(measured, column)
        spread = ("–" if math.isnan(value) else f"{math.sqrt(value):.3f}" for value in v)
        counts = [None] if len(runs) == 1 else [None, *TRAININGS]
        needed = [users_needed(difference, count, v, alpha, power) for count in counts]
        shown = ["no number" if number is None else f"{number:,}" for number in needed]
        table.add_row(" – ".join(pair), *spread, *shown, *["–"] * (len(TRAININGS) + 1 - len(shown)))
    Console().print(table)
    measured_by = f"measured by {trainings.by_user.shape[1]} users and {len(runs)} training" + "s" * (len(runs) > 1)
    print(f"{measured_by}; columns: trainings of each method; one as it is: a claim about that one alone")
    if len(runs) == 1:
        print(f"{ONE_TRAINING} Name runs of several seeds, as for `kitrec repeats`, to know it")


def means_table(means: pl.DataFrame, title: str) -> Table:
    """Return the means over trainings with their spread, for the terminal."""
    columns = ("method", "ranking", "metric", "mean", "sd of trainings", "95 % (users)", "95 % (both)")
    table = _table(title, columns)
    for row in means.filter(pl.col("metric").is_in(SHOWN)).iter_rows(named=True):
        table.add_row(
            *(row["method"], row["kind"], row["metric"], f"{row['mean']:.3f}", f"{row['sd_trainings']:.4f}"),
            *(f"{row[low]:.3f} … {row[high]:.3f}" for low, high in (("low", "high"), ("low_both", "high_both"))),
        )
    return table


def comparisons_table(compared: pl.DataFrame) -> Table:
    """Return the declared comparisons over users alone and over both sources, for the terminal."""
    columns = ("pair", "metric", "difference", "95 % (users)", "p (users)", "95 % (both)", "p (both)", "Holm")
    table = _table("Declared comparisons, methods in pairs by seed", columns)
    for row in compared.iter_rows(named=True):
        table.add_row(
            *(f"{row['method']} – {row['other']}", row["metric"], f"{row['difference']:+.3f}"),
            *(f"{row['low']:+.3f} … {row['high']:+.3f}", f"{row['p_permutation']:.1g}"),
            *(f"{row['low_both']:+.3f} … {row['high_both']:+.3f}", f"{row['p_users_and_trainings']:.1g}"),
            f"{row['p_holm']:.1g}",
        )
    return table


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for name in columns:
        table.add_column(name, no_wrap=name in ("metric", "ranking"))
    return table


def _rows(table: pl.DataFrame) -> list[dict[str, Any]]:
    p = pl.selectors.starts_with("p_")
    return table.with_columns((pl.selectors.float() - p).round(6), p.round_sig_figs(3)).to_dicts()
