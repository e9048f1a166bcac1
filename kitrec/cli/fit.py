"""`kitrec fit`: train a sequence model on your own interactions."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from kitrec.core import params
from kitrec.core.errors import InputError
from kitrec.recommenders.data.interaction_files import read_interactions
from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.metadata_files import read_metadata
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models.params import BERT4Rec
from kitrec.recommenders.params import AnyMethod, RankingMethod, SequenceMethod


def fit(
    interactions: Annotated[Path, typer.Argument(help="CSV or TSV with user, item, time (seconds since 1970)")],
    to: Annotated[Path, typer.Option(help="output folder; an interrupted training there is resumed")],
    method: Annotated[
        str, typer.Option(help="one of idrec.methods in params.yaml, with its hyperparameters")
    ] = "bert4rec",
    metadata: Annotated[
        Path | None, typer.Option(help="folder with genres.tsv, directors.tsv, writers.tsv, titles.tsv")
    ] = None,
    embeddings: Annotated[
        Path | None, typer.Option(help="file of `kitrec title-embeddings`, if titles.tsv holds texts")
    ] = None,
    mode: Annotated[Literal["standard", "full_data"] | None, typer.Option(help="override the method's mode")] = None,
    min_interactions: Annotated[int, typer.Option(min=1, help="drop users with fewer interactions")] = 3,
    negatives: Annotated[
        int, typer.Option(min=0, help="also rank the test item among this many sampled items, e.g. 100")
    ] = 0,
    seed: int = 42,
) -> None:
    """Train on your own interactions, evaluate on each user's last item, keep the best and the last model.

    Several GPUs: `accelerate launch --num_processes 4 -m kitrec.cli.main fit ...`"""
    from kitrec.recommenders.fit import FitData, train_on
    from kitrec.recommenders.sequence_training import SELECTION_METRIC
    from kitrec.training.distributed import distributed_context
    from kitrec.training.progress import training_bar
    from kitrec.training.state import Progress
    from kitrec.training.tensorboard import tensorboard_callback  # imports torch

    p = _method(method)
    p = p if mode is None else replace(p, training=replace(p.training, mode=mode))
    read = read_interactions(interactions, min_interactions)
    data, first = (
        FitData(read, _read_item_metadata(p, metadata, embeddings, read.vocabulary)),
        distributed_context().is_main,
    )
    write = tensorboard_callback(to / "logs", asdict(p), SELECTION_METRIC) if first else None
    with training_bar(method, p.training.epochs, SELECTION_METRIC, quiet=not first) as advance:

        def on_progress(progress: Progress) -> None:
            advance(progress)
            if write:
                write(progress)

        report = train_on(p, data, seed, negatives, on_progress, to, pin_memory=params.load(bool, "idrec.pin_memory"))
    if first:
        _show(report, read.dropped_rows, to)


def _method(name: str) -> SequenceMethod:
    p: RankingMethod = params.load(AnyMethod, f"idrec.methods.{name}")  # type: ignore[arg-type]  # a union is no type to mypy
    if not isinstance(p, SequenceMethod):
        raise InputError(f"{name} ranks the candidates of records, it has no sequences: take sasrec, bert4rec, ...")
    return p


def _read_item_metadata(
    p: SequenceMethod, metadata: Path | None, embeddings: Path | None, vocabulary: Vocabulary
) -> ItemFeatures:
    features: list[str] = list(p.model.metadata.features) if isinstance(p.model, BERT4Rec) else []
    unused = {"--metadata": metadata and not features, "--embeddings": embeddings and "title" not in features}
    for option in (name for name, is_unused in unused.items() if is_unused):
        raise InputError(
            f"{option}: not used by this method; add the feature to model.metadata.features of a bert4rec "
            "(genre, director, writer, title), or omit the option"
        )
    if embeddings and metadata is None:
        raise InputError("--embeddings: also give --metadata, the folder with the files of the other features")
    if metadata is None:
        if features:
            print(f"without {', '.join(features)}: --metadata was not given")
        return ItemFeatures()
    metadata_read = read_metadata(metadata, vocabulary, features, embeddings)
    print(*metadata_read.notices, sep="\n", end="\n" if metadata_read.notices else "")
    return metadata_read.features


def _show(report: dict[str, Any], left_out: int, to: Path) -> None:
    """Print metrics on each user's last item, and the epoch the model was selected at."""
    chosen = report["chosen"]
    metrics = ", ".join(f"{name} {value:.4f}" for name, value in chosen.items() if name not in ("epoch", "epochs"))
    print(f"{report['users']} users, {report['items']} items, {left_out} unusable rows skipped")
    print(f"best epoch {chosen['epoch']} of {chosen['epochs']}: {metrics}")
    if "test" in report:
        table = Table("last item of each user, ranked among", *next(iter(report["test"].values())))
        for among, numbers in report["test"].items():
            table.add_row(among, *(f"{value:.4f}" for value in numbers.values()))
        Console().print(table)
    print(f"{to}: best-*, last-*; `kitrec predict` accepts either")
