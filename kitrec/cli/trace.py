"""`kitrec trace`: from a number back to its users, rankings, answers, prompts, data and commit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML
from scmrepo.git import Git

from kitrec.core import tables
from kitrec.core.errors import InputError
from kitrec.schemas.answers import ANSWERS
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.records import RECORDS
from kitrec.schemas.scores import METRICS, SCORES

LOCK = Path("dvc.lock")
RECOMPUTE = "dvc repro -f -s parse_answers evaluate analyse"


def trace(
    method: Annotated[str, typer.Argument(help="e.g. kitrec_full")],
    metric: Annotated[str, typer.Argument(help=f"one of {', '.join(METRICS)}")],
    kind: Annotated[str, typer.Option(help="scored or written")] = "scored",
    which: Annotated[str, typer.Option("--set", help="the test set")] = "A",
    core: Annotated[str | None, typer.Option(help="only this core: 1, 2, 3, 4, 5-9, 10+")] = None,
    user: Annotated[str | None, typer.Option(help="show this user's record, ranking and answer")] = None,
    rows: Annotated[int, typer.Option(help="how many users to list")] = 10,
) -> None:
    """Follow a number of `kitrec show` back to where it comes from."""
    if metric not in METRICS:
        raise InputError(f"{metric!r} is no metric; there are {', '.join(METRICS)}")
    where = f"set {which}, core {core}" if core else f"set {which}"
    scores = tables.read(Path(f"data/scores/set{which}.parquet"), SCORES).filter(method=method, kind=kind)
    scores = scores.filter(core=core) if core else scores
    if scores.is_empty():
        raise InputError(f"no {kind} score of {method}, {where}: see `kitrec show`")
    out = Console(soft_wrap=True)
    mean: float = scores.select(pl.col(metric).mean()).item()
    out.print(f"{metric} of {method} ({kind}), {where}: {mean:.6f}")
    out.print(f"the mean over {scores.height} records of data/scores/set{which}.parquet; commit {Git('.').get_rev()}")
    folder = _folder(method)
    out.print(_chain(folder))
    out.print(f"again from the answers: {RECOMPUTE}")
    ranked = tables.read(folder / f"set{which}.parquet", RANKINGS).filter(kind=kind, method=method)
    records = tables.read(Path(f"data/records/set{which}/test.parquet"), RECORDS)
    if user:
        _show_user(out, user, method, which, ranked, records)
    else:
        out.print(_users(scores.head(rows), metric, ranked, records))


def _folder(method: str) -> Path:
    """Where a method's rankings lie; the references share a folder."""
    own = Path("data/rankings") / method
    return own if own.exists() else own.with_name("references")


def _chain(folder: Path) -> Table:
    table = Table("file", "md5", "written by", box=box.SIMPLE_HEAD)
    for path, md5, command in chain(str(folder)):
        table.add_row(path, md5, command)
    return table


def chain(out: str) -> Iterator[tuple[str, str, str]]:
    """(file, hash, command) of everything upstream of an out, by dvc.lock, the nearest first."""
    stages = YAML(typ="safe").load(LOCK.read_text(encoding="utf-8"))["stages"]
    writers = {found["path"]: (found["md5"], stage) for stage in stages.values() for found in stage.get("outs", [])}
    waiting, seen = [out], set[str]()
    while waiting:
        wanted = waiting.pop(0)
        for path, (md5, stage) in writers.items():
            if path not in seen and _related(path, wanted):
                seen.add(path)
                yield path, md5[:12], stage["cmd"]
                waiting += [dep["path"] for dep in stage["deps"] if not dep["path"].endswith(".py")]


def _related(one: str, two: str) -> bool:
    """Whether two paths are the same, or one lies in the other."""
    return one == two or one.startswith(f"{two}/") or two.startswith(f"{one}/")


def _users(scores: pl.DataFrame, metric: str, ranked: pl.DataFrame, records: pl.DataFrame) -> Table:
    joined = scores.join(ranked.select("record_id", "item_ids", "status"), on="record_id").join(
        records.select("record_id", "gt_item_id"), on="record_id"
    )
    table = Table("user", "core", metric, "truth", "first", "status", box=box.SIMPLE_HEAD)
    for row in joined.iter_rows(named=True):
        first = row["item_ids"][0] if row["item_ids"] else "–"
        value = f"{row[metric]:.3f}"
        table.add_row(row["user_id"], row["core"], value, row["gt_item_id"], first, row["status"])
    return table


def _show_user(out: Console, user: str, method: str, which: str, ranked: pl.DataFrame, records: pl.DataFrame) -> None:
    own = records.filter(user_id=user)
    if own.is_empty():
        raise InputError(f"no user {user} in the test records of set {which}")
    answers = Path(f"data/answers/{method}/set{which}.parquet")
    texts = tables.read(answers, ANSWERS) if answers.exists() else None
    for row in own.join(ranked, on="record_id", suffix="_ranked").iter_rows(named=True):
        out.print(f"record {row['record_id']}: truth {row['gt_item_id']}, candidates {row['candidate_hash']}")
        out.print("ranking: " + ", ".join(row["item_ids"][:10]))
        if texts is not None:
            said = texts.filter(record_id=row["record_id"]).row(0, named=True)
            out.print(
                f"prompt {said['prompt_hash']} ({said['prompt_tokens']} tokens), adapter {said['adapter']}; answer:"
            )
            out.print(said["text"] or f"({said['error']})", markup=False, highlight=False)
