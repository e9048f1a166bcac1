"""`kitrec fit`: train sequence models on your own interactions."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from kitrec.cli import output
from kitrec.cli.fit_methods import load_fit_params, split_names
from kitrec.core.errors import InputError
from kitrec.recommenders.data.interaction_files import read_interactions
from kitrec.recommenders.data.interaction_filters import Repeats
from kitrec.recommenders.data.interaction_table import MAPPING, parse_columns

UNSHOWN = ("epoch", "epochs", "targets")  # of the chosen epoch's numbers, beside its loss and metrics
InteractionFile = Annotated[
    Path, typer.Argument(help="user, item, time as CSV or TSV, RecBole's .inter, MovieLens' files (see --columns)")
]
Columns = Annotated[list[str] | None, typer.Option(help=f"columns with other names: {MAPPING}; or positions from 1")]
Methods = Annotated[
    list[str],
    typer.Option(
        help="sasrec, bert4rec, gru4rec, caser or another sequence method of idrec.methods; of several, separated by "
        "commas, each has its own folder"
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("-S", "--set", help="a setting: training.epochs=20, or sasrec.model.dropout=0.2; repeatable"),
]
RepeatsRule = Annotated[
    Repeats,
    typer.Option(
        help="a user's item counts once, at its first or last time, and seen items are never ranked; keep: repeats "
        "stay, and seen items are ranked too"
    ),
]
MetadataFolder = Annotated[
    Path | None, typer.Option(help="folder with genres.tsv, directors.tsv, writers.tsv, titles.tsv")
]
Embeddings = Annotated[Path | None, typer.Option(help="file of `kitrec title-embeddings`, if titles.tsv holds texts")]
Negatives = Annotated[int, typer.Option(min=0, help="also rank the test item among this many sampled items, e.g. 100")]


@output.prints_tables
def fit(
    interactions: InteractionFile,
    to: Annotated[Path, typer.Option(help="output folder; an interrupted training there is resumed")],
    method: Methods = ["bert4rec"],  # noqa: B006  # typer copies it
    override: Overrides = None,
    columns: Columns = None,
    repeats: RepeatsRule = "first",
    k_core: Annotated[int, typer.Option(min=0, help="leave out users and items with fewer interactions")] = 0,
    min_interactions: Annotated[int, typer.Option(min=1, help="leave out users with fewer interactions")] = 3,
    metadata: MetadataFolder = None,
    embeddings: Embeddings = None,
    mode: Annotated[Literal["standard", "full_data"] | None, typer.Option(help="override the method's mode")] = None,
    negatives: Negatives = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="replace a model of other data or settings in the folder")
    ] = False,
    seed: int = 42,
) -> None:
    """Train on your own interactions, evaluate on each user's last item, keep the best and the last model.

    Several GPUs: `accelerate launch --num_processes 4 -m kitrec.cli.main fit ...`"""
    modes = [f"training.mode={mode}"] if mode else []
    p = load_fit_params(split_names(method), [*(override or []), *modes])
    names = parse_columns(columns or [])
    read = read_interactions(interactions, min_interactions, repeats=repeats, k_core=k_core, columns=names)
    from kitrec.cli.fit_training import FitFiles, prepare, say, train_all  # imports torch

    say(p.notice, *read.notices)
    source = FitFiles(interactions, names, metadata, embeddings)
    most = p.validation_users
    trainings = prepare(p.methods, read, source, to, seed, negatives, overwrite=overwrite, validation_users=most)
    if reports := train_all(trainings, p, to, seed, negatives):
        _show(reports, to)


def make_writable(folder: Path) -> None:
    """Create an output folder before anything long begins; refuse one that cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(f"--to: the folder {folder} cannot be made ({problem.strerror}): name another") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"--to: the folder {folder} cannot be written: name another, or change its permissions")


def _show(reports: dict[str, dict[str, Any]], to: Path) -> None:
    """Print the epoch each model was selected at, and all models beside the baselines."""
    users, items = (next(iter(reports.values()))[name] for name in ("users", "items"))
    output.note(f"{users:,} users, {items:,} items")
    for name, report in reports.items():
        chosen = report["chosen"]
        figures = ", ".join(f"{key} {value:.4f}" for key, value in chosen.items() if key not in UNSHOWN)
        output.note(f"{name}: best epoch {chosen['epoch']} of {chosen['epochs']}: {figures}")
    rows = {name: report["test"] for name, report in reports.items() if "test" in report}
    baselines: dict[str, Any] = next((report["baselines"] for report in reports.values() if "baselines" in report), {})
    if rows:
        metrics = list(next(iter(next(iter(rows.values())).values())))
        tested = [
            {"method": name, "ranked among": which, **numbers}
            for name, tests in (baselines | rows).items()
            for which, numbers in tests.items()
        ]
        cells = {name: output.text(name) for name in ("method", "ranked among")}
        cells |= {name: output.number(name, ".4f") for name in metrics}
        output.table(output.Sheet("test", "Last item of each user", tested, cells, ("method", "ranked among")))
    folders = to if len(reports) == 1 else " or ".join(str(to / name) for name in reports)
    output.note(f"`kitrec predict` takes {folders} (the best model), or best-*, last-* in it; {to}/report.json")
