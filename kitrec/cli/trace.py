"""`kitrec trace`: provenance of a metric: its users, rankings, answers, prompts, data and commit."""

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
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.schemas.scores import METRICS, SCORES

LOCK = Path("dvc.lock")
RECOMPUTE = "dvc repro -f -s parse_answers evaluate analyse"


def trace(
    method: Annotated[str, typer.Argument(help="e.g. kitrec_full")],
    metric: Annotated[str, typer.Argument(help=f"one of {', '.join(METRICS)}")],
    kind: Annotated[str, typer.Option(help="scored or written")] = "scored",
    which: Annotated[str, typer.Option("--set", help="the test set")] = "A",
    core: Annotated[str | None, typer.Option(help="only users of this core: 1, 2, 3, 4, 5-9, 10+")] = None,
    user: Annotated[str | None, typer.Option(help="show this user's record, ranking and answer")] = None,
    rows: Annotated[int, typer.Option(help="how many users to list")] = 10,
) -> None:
    """Show the provenance of a metric of `kitrec show`."""
    if metric not in METRICS:
        raise InputError(f"{metric!r} is no metric; there are {', '.join(METRICS)}")
    scope = f"set {which}, core {core}" if core else f"set {which}"
    scores = tables.read(Path(f"data/scores/set{which}.parquet"), SCORES).filter(method=method, kind=kind)
    scores = scores.filter(core=core) if core else scores
    if scores.is_empty():
        raise InputError(f"no {kind} scores of {method}, {scope}: see `kitrec show`")
    console = Console(soft_wrap=True)
    mean: float = scores.select(pl.col(metric).mean()).item()
    console.print(f"{metric} of {method} ({kind}), {scope}: {mean:.6f}")
    console.print(f"mean over {scores.height} records of data/scores/set{which}.parquet; commit {Git('.').get_rev()}")
    folder = _folder(method)
    console.print(_provenance_table(folder))
    console.print(f"recompute from the answers: {RECOMPUTE}")
    ranked = tables.read(folder / f"set{which}.parquet", RANKINGS).filter(kind=kind, method=method)
    records = tables.read(Path(f"data/records/set{which}/test.parquet"), RECORDS, leave_out=TEXT_COLUMNS)
    if user:
        _show_user(console, user, method, which, ranked, records)
    else:
        console.print(_users(scores.head(rows), metric, ranked, records))


def _folder(method: str) -> Path:
    """Return the folder of a method's rankings; reference methods share one."""
    folder = Path("data/rankings") / method
    return folder if folder.exists() else folder.with_name("references")


def _provenance_table(folder: Path) -> Table:
    table = Table("file", "md5", "written by", box=box.SIMPLE_HEAD)
    for path, md5, command in provenance(str(folder)):
        table.add_row(path, md5, command)
    return table


def provenance(out: str) -> Iterator[tuple[str, str, str]]:
    """Yield (file, hash, command) of everything upstream of an out, by dvc.lock, nearest first."""
    stages = YAML(typ="safe").load(LOCK.read_text(encoding="utf-8"))["stages"]
    outs = {out["path"]: (out["md5"], stage) for stage in stages.values() for out in stage.get("outs", [])}
    pending, visited = [out], set[str]()
    while pending:
        target = pending.pop(0)
        for path, (md5, stage) in outs.items():
            if path not in visited and _overlap(path, target):
                visited.add(path)
                yield path, md5[:12], stage["cmd"]
                pending += [dep["path"] for dep in stage.get("deps", ())]


def _overlap(first: str, second: str) -> bool:
    """Return whether two paths are equal, or one contains the other."""
    return first == second or first.startswith(f"{second}/") or second.startswith(f"{first}/")


def _users(scores: pl.DataFrame, metric: str, ranked: pl.DataFrame, records: pl.DataFrame) -> Table:
    joined = scores.join(ranked.select("record_id", "item_ids", "status"), on="record_id").join(
        records.select("record_id", "gt_item_id"), on="record_id"
    )
    table = Table("user", "core", metric, "held-out item", "first item", "status", box=box.SIMPLE_HEAD)
    for row in joined.iter_rows(named=True):
        first = row["item_ids"][0] if row["item_ids"] else "–"
        value = f"{row[metric]:.3f}"
        table.add_row(row["user_id"], row["core"], value, row["gt_item_id"], first, row["status"])
    return table


def _show_user(
    console: Console, user: str, method: str, which: str, ranked: pl.DataFrame, records: pl.DataFrame
) -> None:
    of_user = records.filter(user_id=user)
    if of_user.is_empty():
        raise InputError(f"no user {user} in the test records of set {which}")
    answers = Path(f"data/answers/{method}/set{which}.parquet")
    texts = tables.read(answers, ANSWERS) if answers.exists() else None
    for row in of_user.join(ranked, on="record_id", suffix="_ranked").iter_rows(named=True):
        console.print(
            f"record {row['record_id']}: held-out item {row['gt_item_id']}, candidates {row['candidate_hash']}"
        )
        console.print("ranking: " + ", ".join(row["item_ids"][:10]))
        if texts is not None:
            answer = texts.filter(record_id=row["record_id"]).row(0, named=True)
            console.print(
                f"prompt {answer['prompt_hash']} ({answer['prompt_tokens']} tokens), adapter {answer['adapter']}; text:"
            )
            console.print(answer["text"] or f"({answer['error']})", markup=False, highlight=False)
