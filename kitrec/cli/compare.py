"""`kitrec compare`: two methods of one run, or two runs method by method; paired tests with intervals.

A name is a method if the scores of the run hold it, and a run if it is `workspace`, a project folder, an experiment or
a git revision. Two methods compare within --run, two runs with each other, and anything else is refused."""

from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from dvc.exceptions import DvcException
from dvc.scm import resolve_rev
from rich.text import Text
from scmrepo.exceptions import SCMError
from scmrepo.git import Git

from kitrec.cli import output
from kitrec.cli import runs as named
from kitrec.cli.names import did_you_mean, records_of_users, require_name
from kitrec.cli.output import Cell, Row, Sheet, interval, number, text
from kitrec.core import files, params
from kitrec.core.domains import SETS
from kitrec.core.errors import InputError
from kitrec.core.mean_tests import CROSSED_TEST, ONE_TRAINING, PERMUTATION_TEST
from kitrec.evaluation.comparisons import comparisons
from kitrec.evaluation.params import Evaluation, Family
from kitrec.evaluation.run_comparison import compare_runs
from kitrec.evaluation.score_matrix import score_matrix
from kitrec.preprocessing.params import Data
from kitrec.schemas.scores import METRICS

SHOWN = ("hit@1", "hit@10", "mrr", "ndcg@10")
LEVEL = 0.05
LABELS = f"[95 %]: BCa interval of the difference, by resampled users; p: another test, {PERMUTATION_TEST}."
Side = Annotated[
    str,
    typer.Argument(
        help="a method; or a run: workspace, an experiment, a git revision or a folder; trainings by commas: a-1,a-2"
    ),
]


@output.prints_tables
def compare(
    first: Side,
    second: Annotated[str, typer.Argument(help="another method, or another run")],
    sets: Annotated[
        str | None, typer.Option(help="test set of the methods, e.g. B; of two runs one of each, e.g. A,B")
    ] = None,
    run: Annotated[str, typer.Option(help="the run whose methods are compared")] = named.WORKSPACE,
) -> None:
    """Compare two methods of a run, or two runs user by user.

    kitrec compare kitrec_full sasrec; kitrec compare HEAD workspace; kitrec compare workspace workspace --sets A,B"""
    which = _sets(sets)
    methods = _methods(run, which[0])
    kinds = {name: _kind(name, methods) for name in (first, second)}
    if set(kinds.values()) == {"method"}:
        _compare_methods(first, second, run, which)
    elif run != named.WORKSPACE:
        wrong = next(name for name, kind in kinds.items() if kind != "method")
        raise InputError(f"--run {run} has no method {wrong!r}: {did_you_mean(wrong, methods)}")
    elif set(kinds.values()) == {"run"}:
        _compare_runs(first, second, which)
    else:
        described = ", ".join(f"{name} is a {kind}" for name, kind in kinds.items())
        raise InputError(f"{described}: give two methods of one run, or two runs, which compare method by method")


def _sets(sets: str | None) -> list[str]:
    """Return the test set of either side."""
    listed = (sets or params.value(Data, "data.candidate_set")).split(",")
    for name in listed:
        require_name(name, SETS, "candidate set (--sets)")
    if len(listed) > 2:
        raise InputError(f"--sets {sets}: give one set, or two for the first and the second run, e.g. A,B")
    return listed * 2 if len(listed) == 1 else listed


def _methods(run: str, which: str) -> list[str]:
    """Return the methods that a run has scores of; none where it has no scores."""
    try:
        scored = named.scores(run, which)["method"]
    except InputError:
        if run != named.WORKSPACE:
            raise
        return []
    return sorted(scored.unique())


def _kind(name: str, methods: list[str]) -> str:
    """Return whether a name is a method or a run; refuse one that is both or neither."""
    is_run = all(_is_run(part) for part in name.split(","))
    if name in methods and is_run:
        raise InputError(
            f"{name} is a method and a run: write the run as refs/heads/{name} or ./{name}, or rename one of them"
        )
    if name not in methods and not is_run:
        raise InputError(
            f"{name!r} is no method of this run ({did_you_mean(name, methods)}) and no run: workspace, a project "
            "folder, an experiment (`dvc exp show`) or a git revision"
        )
    return "method" if name in methods else "run"


def _is_run(name: str) -> bool:
    if name == named.WORKSPACE or (Path(name) / params.FILE).is_file():
        return True
    try:
        resolve_rev(Git("."), name)
    except (DvcException, SCMError):
        return False
    return True


def _compare_methods(first: str, second: str, run: str, which: list[str]) -> None:
    """Print first minus second on the same records of one run."""
    if which[0] != which[1]:
        raise InputError(f"--sets {','.join(which)}: two methods are compared on one set, e.g. --sets {which[0]}")
    if first == second:
        raise InputError(f"{first} is compared with itself: choose another method")
    scores = named.scores(run, which[0]).filter(pl.col("method").is_in([first, second]))
    p, seed = params.load(Evaluation, "evaluation"), params.load(int, "seed")
    requested = {name: _answer_items(run, name, which[0]) for name in (first, second)}
    compared = []
    for kind in ("scored", "written"):
        rows = scores.filter(kind=kind)
        if rows["method"].n_unique() == 2:
            family = Family(kind=kind, metrics=list(METRICS), pairs=[(first, second)])
            drawn = {"resamples": p.resamples, "permutations": p.permutations, "seed": seed}
            items = {name: count for name, count in requested.items() if count is not None}
            compared.append(comparisons(score_matrix(rows), family, answer_items=items, **drawn))
    if not compared:
        raise InputError(f"{first} and {second} have no ranking of the same kind: scored and written do not compare")
    counted = records_of_users(scores["record_id"].n_unique(), scores["user_id"].n_unique())
    for part in compared:
        verdicts = [_verdict(row) for row in part.iter_rows(named=True)]
        kind = str(verdicts[0]["kind"])
        title = f"{first} minus {second}, {kind} rankings, set {which[0]}: {counted}"
        cells: dict[str, Cell] = {"metric": text("metric"), first: number("mean"), second: number("other_mean")}
        cells |= {"difference [95 %]": _difference, "p": lambda row: p_value(row["p_permutation"])}
        cells |= {"verdict": text("verdict")}
        shown = [row for row in verdicts if row["metric"] in SHOWN]
        output.table(Sheet(kind, title, shown, cells, ("metric", "verdict"), figures=verdicts))
    output.note(f"{LABELS} Verdicts: p < {LEVEL} and an interval without 0; not corrected for several comparisons.")
    output.note(ONE_TRAINING)


def _verdict(row: dict[str, Any]) -> dict[str, Any]:
    """Add what the test supports; leave out what is only meant for a family of comparisons."""
    kept = {key: row[key] for key in ("kind", "metric", "method", "other", "n", "mean", "other_mean", "difference")}
    kept |= {key: row[key] for key in ("low", "high", "p_permutation", "effect", "size", "mde")}
    clear = row["p_permutation"] < LEVEL and row["low"] * row["high"] > 0
    return kept | {"verdict": ("ahead" if row["difference"] > 0 else "behind") if clear else "not clear"}


def _answer_items(run: str, method: str, which: str) -> int | None:
    """Return the number of items that a method's answers were asked for, where it writes any."""
    path = Path(f"metrics/answers/{method}.json")
    try:
        statistics = files.read_json(named.file_of(run, path))
    except (InputError, FileNotFoundError):
        return None
    items = statistics.get(f"set{which}", {}).get("answer_items")
    return None if items is None else int(items)


def _compare_runs(first: str, second: str, which: list[str]) -> None:
    """Print second minus first, method by method."""
    p, sides = params.load(Evaluation, "evaluation"), [side.split(",") for side in (first, second)]
    for trainings in (side for side in sides if len(side) > 1):
        named.check_seeds_alone_differ(trainings)
    if max(map(len, sides)) > 1:
        named.check_separate(*sides)
    scores = [[named.scores(run, name) for run in runs] for runs, name in zip(sides, which, strict=True)]
    seed = params.load(int, "seed")
    compared = compare_runs(*scores, resamples=p.resamples, permutations=p.permutations, seed=seed)
    both = compared["p_users_and_trainings"].is_not_null().all()
    for kind in compared["kind"].unique().sort().to_list():
        output.table(_runs_sheet(compared.filter(kind=kind), kind, both=both))
    counted = records_of_users(compared["records"].to_list()[0], compared["n"].to_list()[0])
    output.note(f"second minus first: {second} (set {which[1]}) minus {first} (set {which[0]}), {counted} in all runs")
    if other := _other_candidates(scores[0][0], scores[1][0]):
        output.note(
            f"{other:,} of the records have other candidates: a difference is one of run and candidates together"
        )
    output.note(LABELS)
    output.note(ONE_TRAINING if min(map(len, sides)) < 2 else f"p (both): {CROSSED_TEST}")
    left_out = {row["method"]: row["left_out"] for row in compared.iter_rows(named=True) if row["left_out"]}
    methods = [set(table["method"]) for side in scores for table in side]
    unmatched = sorted(set.union(*methods) - set.intersection(*methods))
    if left_out or unmatched:
        output.note(f"not in all runs: methods {', '.join(unmatched) or 'none'}; records {left_out or 'none'}")


def _other_candidates(first: pl.DataFrame, second: pl.DataFrame) -> int:
    """Return how many records that both runs have are ranked among other candidates."""
    lists = [table.select("user_id", "target", "candidate_hash").unique() for table in (first, second)]
    both = lists[0].join(lists[1], on=["user_id", "target"], suffix="_second")
    return both.filter(pl.col("candidate_hash") != pl.col("candidate_hash_second")).height


def _runs_sheet(compared: pl.DataFrame, kind: str, *, both: bool) -> Sheet:
    """Return the differences of one kind of ranking; of several trainings also the p over users and trainings."""
    rows = compared.to_dicts()
    cells: dict[str, Cell] = {"method": text("method"), "metric": text("metric"), "first": number("first")}
    cells |= {"second": number("second"), "difference [95 %]": _difference}
    cells |= {"p": lambda row: p_value(row["p_permutation"])}
    cells |= {"p (both)": lambda row: p_value(row["p_users_and_trainings"])} if both else {}
    shown = [row for row in rows if row["metric"] in ("hit@1", "mrr", "ndcg@10")]
    return Sheet(kind, f"{kind} rankings", shown, cells, ("method", "metric"), range(2, len(shown) - 1, 3), rows)


def _difference(row: Row) -> Text:
    value, low, high = (row[name] for name in ("difference", "low", "high"))
    style = "" if low <= 0 <= high else "green" if value > 0 else "red"
    return Text(f"{value:+.3f} {interval(low, high, '+.3f')}", style=style)


def p_value(value: float) -> str:
    """Return `.012`, or `<.001`."""
    return "<.001" if value < 0.001 else f"{value:.3f}".removeprefix("0")
