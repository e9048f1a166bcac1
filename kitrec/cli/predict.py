"""`kitrec predict`: the best items of each user, from a file of interactions or from a folder of many."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer

from kitrec.cli.fit import Columns, make_writable
from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.recommenders.data.interaction_table import parse_columns, read_table
from kitrec.recommenders.data.metadata_files import YEARS
from kitrec.training.progress import count_bar

if TYPE_CHECKING:
    from kitrec.onnx.ranked_files import RankingOptions

OPTIONS = "options.json"
EXAMPLES = 3


def predict(
    model: Annotated[
        Path,
        typer.Argument(
            help="folder of a trained model (data/idrec/sasrec), of `kitrec fit` (its best model), or of an ONNX model"
        ),
    ],
    interactions: Annotated[
        Path,
        typer.Argument(
            help="user, item, time as CSV or TSV, RecBole's .inter, MovieLens' files (see --columns); or a folder of "
            "such files, each with the whole histories of its users"
        ),
    ],
    to: Annotated[
        Path,
        typer.Option(
            help="TSV to write: user, rank, item, score, ranked_by (model or popularity); of a folder: a folder of "
            "them, where an interrupted run goes on"
        ),
    ],
    topk: Annotated[int, typer.Option(min=1)] = 10,
    exclude: Annotated[Path | None, typer.Option(help="text file of items never to recommend, one per line")] = None,
    metadata: Annotated[
        Path | None, typer.Option(help="folder with years.tsv: exclude items released after a user's last interaction")
    ] = None,
    columns: Columns = None,
    workers: Annotated[
        int, typer.Option(min=1, help="files ranked side by side, by Ray: here, or on the cluster at RAY_ADDRESS")
    ] = 1,
) -> None:
    """Write the best items of each user, without items in their history and items released later.

    Users without an item that the model knows get the most popular items."""
    from kitrec.onnx.ranked_files import FileRanker, RankingOptions  # imports torch

    options = RankingOptions(model, topk, exclude, metadata, parse_columns(columns or []))
    if interactions.is_dir():
        _rank_folder(options, interactions, to, workers)
        return
    if to.is_dir():
        raise InputError(f"--to {to} is a folder: name the file to write, e.g. {to / 'best.tsv'}")
    if workers > 1:
        raise InputError(f"--workers ranks the files of a folder side by side, and {interactions} is one file")
    make_writable(to.parent)
    ranked = FileRanker(options).rank(interactions, to)
    print(*ranked.notices, *ranked.of_options, sep="\n")


def _rank_folder(options: "RankingOptions", folder: Path, to: Path, workers: int) -> None:
    """Rank the files that are not ranked yet."""
    from kitrec.onnx.ranked_files import rank_files

    tables = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    pairs = [(path, to / f"{path.stem}.tsv") for path in tables]
    if len({target for _, target in pairs}) < len(pairs) or not pairs:
        raise InputError(f"{folder} holds {'files of the same name' if pairs else 'no file'}: one TSV is made of each")
    if to.resolve() == folder.resolve():
        raise InputError(f"--to {to} is the folder that is read: name another")
    _require_whole_histories(tables, options)
    _require_same_options(options, to)
    left = [pair for pair in pairs if not pair[1].exists()]
    users, cold = 0, 0
    of_options: tuple[str, ...] = ()
    with count_bar("files", len(pairs), quiet=False) as advance:
        advance(len(pairs) - len(left))
        for ranked in rank_files(options, left, workers):
            users, cold = users + ranked.users, cold + ranked.cold
            print(*ranked.notices, sep="\n")
            of_options = ranked.of_options
            advance(1)
    print(*of_options, sep="\n", end="\n" * bool(of_options))
    were_there = f"{len(pairs) - len(left)} were there"
    print(f"{to}: {len(left)} files ranked, {were_there}; {users} users, {cold} of them by popularity")


def _require_whole_histories(tables: list[Path], options: "RankingOptions") -> None:
    """Refuse users who stand in several files: each part would be ranked as if it were all they took."""
    users = pl.concat([read_table(path, options.columns).rows["user"].drop_nulls().unique() for path in tables])
    several = users.filter(users.is_duplicated() & (users != "")).unique().sort()
    if len(several):
        examples = ", ".join(several.head(EXAMPLES))
        raise InputError(
            f"{len(several):,} users stand in several files, e.g. {examples}: put all interactions of a user into one"
        )


def _require_same_options(options: "RankingOptions", to: Path) -> None:
    """Write down what the files of a folder are ranked by; refuse a folder that holds others."""
    make_writable(to)
    for path in filter(None, (options.exclude, options.metadata and options.metadata / YEARS)):
        if not path.is_file():
            raise InputError(f"{path} is missing: name a file that is there, or leave the option out")
    options_used: dict[str, Any] = {
        "model": str(options.model.resolve()),
        "weights": {path.name: files.sha256(path) for path in sorted(options.model.rglob("*")) if path.is_file()},
        "topk": options.topk,
        "exclude": options.exclude and files.sha256(options.exclude),
        "metadata": options.metadata and files.sha256(options.metadata / YEARS),
        "columns": options.columns,
    }
    path = to / OPTIONS
    if any(to.glob("*.tsv")) and (not path.exists() or files.read_json(path) != options_used):
        raise InputError(f"{to} holds rankings by another model or other options ({path}): name another folder")
    files.write_json(options_used, path)
