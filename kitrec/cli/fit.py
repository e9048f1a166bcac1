"""`kitrec fit`: a model over item numbers on interactions of one's own."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from kitrec.core import params
from kitrec.core.errors import InputError
from kitrec.recommenders.data.interaction_files import read_interactions
from kitrec.recommenders.data.item_metadata import Known
from kitrec.recommenders.data.metadata_files import read_metadata
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.params import AnyMethod, BERT4Rec, Method, Ranker


def fit(
    interactions: Annotated[Path, typer.Argument(help="CSV or TSV with user, item, time (seconds since 1970)")],
    to: Annotated[Path, typer.Option(help="folder to write; a training that broke off there goes on")],
    method: Annotated[str, typer.Option(help="one of idrec.methods in params.yaml, which says all else")] = "bert4rec",
    metadata: Annotated[
        Path | None, typer.Option(help="folder with genres.tsv, directors.tsv, writers.tsv, titles.tsv")
    ] = None,
    embeddings: Annotated[
        Path | None, typer.Option(help="file of `kitrec title-embeddings`, where titles.tsv holds texts")
    ] = None,
    mode: Annotated[
        Literal["standard", "full_data"] | None, typer.Option(help="in place of the method's own mode")
    ] = None,
    fewest: Annotated[int, typer.Option(min=1, help="users with fewer interactions are left out")] = 3,
    negatives: Annotated[int, typer.Option(min=0, help="rank the test among so many others too: 100")] = 0,
    seed: int = 42,
) -> None:
    """Train on your own interactions, judge on each user's last item, keep the best and the last model.

    Several GPUs: `accelerate launch --num_processes 4 -m kitrec.cli.main fit ...`"""
    from kitrec.recommenders.fit import OwnData, train_on
    from kitrec.recommenders.sequence_training import SELECTION_METRIC
    from kitrec.training.distributed import distributed_context
    from kitrec.training.progress import training_bar
    from kitrec.training.state import Progress
    from kitrec.training.tensorboard import tensorboard_callback  # torch is only needed here

    p = _method(method)
    p = p if mode is None else replace(p, course=replace(p.course, mode=mode))
    read = read_interactions(interactions, fewest)
    data, first = OwnData(read, _known(p, metadata, embeddings, read.vocabulary)), distributed_context().is_main
    write = tensorboard_callback(to / "logs", asdict(p), SELECTION_METRIC) if first else None
    with training_bar(method, p.course.epochs, SELECTION_METRIC, quiet=not first) as advance:

        def told(progress: Progress) -> None:
            advance(progress)
            if write:
                write(progress)

        report = train_on(p, data, seed, negatives, told, to, pinned=params.load(bool, "idrec.pinned_memory"))
    if first:
        _show(report, read.left_out, to)


def _method(name: str) -> Method:
    p: Ranker = params.load(AnyMethod, f"idrec.methods.{name}")  # type: ignore[arg-type]  # a union is no type to mypy
    if not isinstance(p, Method):
        raise InputError(f"{name} ranks the candidates of records, it has no sequences: take sasrec, bert4rec, ...")
    return p


def _known(p: Method, metadata: Path | None, embeddings: Path | None, vocabulary: Vocabulary) -> Known:
    features: list[str] = list(p.model.metadata.features) if isinstance(p.model, BERT4Rec) else []
    wanted = {"--metadata": metadata and not features, "--embeddings": embeddings and "title" not in features}
    for option in (name for name, unread in wanted.items() if unread):
        raise InputError(
            f"{option}: this method reads none; name it in model.metadata.features of a bert4rec "
            "(genre, director, writer, title), or leave the option away"
        )
    if embeddings and metadata is None:
        raise InputError("--embeddings: give --metadata too, the folder of the other features' files")
    if metadata is None:
        if features:
            print(f"{', '.join(features)} off: no --metadata was given")
        return Known()
    told = read_metadata(metadata, vocabulary, features, embeddings)
    print(*told.notices, sep="\n", end="\n" if told.notices else "")
    return told.known


def _show(report: dict[str, Any], left_out: int, to: Path) -> None:
    """How good the model is on each user's last item, and what it was chosen by."""
    chosen = report["chosen"]
    listed = ", ".join(f"{name} {value:.4f}" for name, value in chosen.items() if name not in ("epoch", "epochs"))
    print(f"{report['users']} users, {report['items']} items, {left_out} unusable rows left out")
    print(f"best epoch {chosen['epoch']} of {chosen['epochs']}: {listed}")
    if "test" in report:
        table = Table("last item of each user, ranked among", *next(iter(report["test"].values())))
        for among, numbers in report["test"].items():
            table.add_row(among, *(f"{value:.4f}" for value in numbers.values()))
        Console().print(table)
    print(f"{to}: best-*, last-*; `kitrec predict` takes either")
