"""`kitrec trace`: provenance of a metric: its users, rankings, answers, prompts, data and commit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from ruamel.yaml import YAML
from scmrepo.git import Git

from kitrec.cli import output
from kitrec.cli.names import did_you_mean, records_of_users, require_name
from kitrec.cli.output import Sheet, number, text
from kitrec.core import params, tables
from kitrec.core.domains import CORES
from kitrec.core.errors import InputError
from kitrec.preprocessing.params import Data
from kitrec.schemas.answers import ANSWERS
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.schemas.scores import METRICS, SCORES

LOCK = Path("dvc.lock")
SHOWN_ITEMS = 10
STARTS = {"parse_answers": "from the answers", "infer_idrec": "from the trained model", "rank_titles": "from the model"}


@output.prints_tables
def trace(
    method: Annotated[str, typer.Argument(help="e.g. kitrec_full")],
    metric: Annotated[str, typer.Argument(help=f"one of {', '.join(METRICS)}")],
    kind: Annotated[str, typer.Option(help="scored or written")] = "scored",
    which: Annotated[str | None, typer.Option("--set", help="the test set; default: data.candidate_set")] = None,
    core: Annotated[str | None, typer.Option(help="only users of this core: 1, 2, 3, 4, 5-9, 10+")] = None,
    user: Annotated[str | None, typer.Option(help="show this user's record, ranking and answer")] = None,
    rows: Annotated[int, typer.Option(min=1, help="how many records to list")] = 10,
) -> None:
    """Show the provenance of a metric of `kitrec show`."""
    which = which or params.value(Data, "data.candidate_set")
    scores = _scores(method, metric, kind, which, core)
    if user is not None:
        require_name(
            user, scores["user_id"].unique().to_list(), f"test user of set {which}" + f", core {core}" * bool(core)
        )
        scores = scores.filter(user_id=user)
    folder = _folder(method)
    ranked = tables.read(folder / f"set{which}.parquet", RANKINGS).filter(kind=kind, method=method)
    records = tables.read(Path(f"data/records/set{which}/test.parquet"), RECORDS, leave_out=TEXT_COLUMNS)
    counted = records_of_users(scores.height, scores["user_id"].n_unique())
    scope = f"set {which}" + (f", core {core}" if core else "") + (f", user {user}" if user else "")
    output.note(f"{metric} of {method} ({kind}), {scope}: {scores.select(pl.col(metric).mean()).item():.6f}")
    output.note(f"mean over {counted} of data/scores/set{which}.parquet; commit {Git('.').get_rev()}")
    upstream = list(provenance(str(folder)))
    output.table(_provenance_sheet(upstream))
    if advice := recompute(str(folder)):
        output.note(advice, wrap=False)
    if user is None:
        output.table(_records_sheet(scores.head(rows), metric, ranked, records))
    else:
        _show_user(records.filter(user_id=user).join(ranked, on="record_id", suffix="_ranked"), method, which)


def _scores(method: str, metric: str, kind: str, which: str, core: str | None) -> pl.DataFrame:
    """Return the scores behind the metric; refuse names that there are none of, with the closest one."""
    require_name(metric, METRICS, "metric")
    require_name(kind, ("scored", "written"), "kind of ranking (--kind)")
    require_name(which, params.value(Data, "data.test_sets"), "test set (--set)")
    if core is not None:
        require_name(core, CORES, "core (--core)")
    path = Path(f"data/scores/set{which}.parquet")
    if not path.is_file():
        raise InputError(f"{path} is missing: `dvc repro evaluate` writes it, or `dvc pull` fetches it")
    scores = tables.read(path, SCORES)
    require_name(method, scores["method"].unique().to_list(), "method")
    kinds = scores.filter(method=method)["kind"].unique().to_list()
    if kind not in kinds:
        raise InputError(f"{method} has no {kind} ranking: {did_you_mean(kind, kinds)}")
    scores = scores.filter(method=method, kind=kind)
    scores = scores.filter(core=core) if core else scores
    if scores.is_empty():
        raise InputError(f"set {which} has no test record of core {core}")
    return scores


def _folder(method: str) -> Path:
    """Return the folder of a method's rankings; reference methods share one."""
    folder = Path("data/rankings") / method
    return folder if folder.exists() else folder.with_name("references")


def provenance(out: str) -> Iterator[tuple[str, str, str]]:
    """Yield (file, hash, command) of everything upstream of an out, by dvc.lock, nearest first."""
    stages = _locked_stages()
    outs = {out["path"]: (out["md5"], stage) for stage in stages.values() for out in stage.get("outs", [])}
    pending, visited = [out], set[str]()
    while pending:
        target = pending.pop(0)
        for path, (md5, stage) in outs.items():
            if path not in visited and _overlap(path, target):
                visited.add(path)
                yield path, md5[:12], stage["cmd"]
                pending += [dep["path"] for dep in stage.get("deps", ())]


def recompute(out: str) -> str:
    """Return the command that computes an out and the metrics again; nothing where dvc.lock does not know the out."""
    for name, stage in _locked_stages().items():
        if any(path["path"] == out for path in stage.get("outs", [])):
            start = STARTS.get(name.partition("@")[0], "its ranking")
            return f"recompute {start}:\n  dvc repro -f -s {name} evaluate analyse"
    return ""


def _locked_stages() -> dict[str, Any]:
    if not LOCK.is_file():
        raise InputError(f"{LOCK} is missing: run from the project's root, after `dvc repro`")
    return dict(YAML(typ="safe").load(LOCK.read_text(encoding="utf-8"))["stages"])


def _overlap(first: str, second: str) -> bool:
    """Return whether two paths are equal, or one contains the other."""
    return first == second or first.startswith(f"{second}/") or second.startswith(f"{first}/")


def _provenance_sheet(upstream: list[tuple[str, str, str]]) -> Sheet:
    columns = ("file", "md5", "written by")
    return output.text_sheet("provenance", "", columns, upstream)


def _records_sheet(scores: pl.DataFrame, metric: str, ranked: pl.DataFrame, records: pl.DataFrame) -> Sheet:
    joined = scores.join(ranked.select("record_id", "item_ids", "status"), on="record_id").join(
        records.select("record_id", "gt_item_id"), on="record_id"
    )
    rows = [
        {
            "user": row["user_id"],
            "core": row["core"],
            metric: row[metric],
            "held-out item": row["gt_item_id"],
            "first item": row["item_ids"][0] if row["item_ids"] else "–",
            "status": row["status"],
        }
        for row in joined.iter_rows(named=True)
    ]
    texts = ("user", "core", "held-out item", "first item", "status")
    cells = {name: text(name) for name in ("user", "core")} | {metric: number(metric)}
    cells |= {name: text(name) for name in texts[2:]}
    return Sheet("records", "", rows, cells, texts)


def _show_user(records: pl.DataFrame, method: str, which: str) -> None:
    """Print the ranking and, of a method that writes, the answer of each of a user's records."""
    path = Path(f"data/answers/{method}/set{which}.parquet")
    texts = tables.read(path, ANSWERS) if path.exists() else None
    for row in records.iter_rows(named=True):
        held_out, listed = row["gt_item_id"], row["item_ids"]
        place = (
            f"at place {listed.index(held_out) + 1} of {len(listed)}" if held_out in listed else "not in the ranking"
        )
        output.note(f"record {row['record_id']}: held-out item {held_out}, {place}; candidates {row['candidate_hash']}")
        output.note("ranking: " + ", ".join(listed[:SHOWN_ITEMS]))
        if texts is not None:
            answer = texts.filter(record_id=row["record_id"]).row(0, named=True)
            output.note(
                f"prompt {answer['prompt_hash']} ({answer['prompt_tokens']} tokens), adapter {answer['adapter']}; text:"
            )
            output.note(answer["text"] or f"({answer['error']})", wrap=False)
