"""The trainings of one `kitrec fit`: their item metadata, their folders and reports, one after the other."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kitrec.cli import output
from kitrec.cli.fit import make_writable
from kitrec.cli.fit_methods import FitParams, proposed_size
from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.recommenders.data.interaction_files import Interactions
from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.metadata_files import metadata_paths, read_metadata
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.fit import FitData, evaluate_baselines, train_on, training_name
from kitrec.recommenders.fit_report import REPORT, check_folder, check_layout, describe, describe_data
from kitrec.recommenders.models.params import BERT4Rec
from kitrec.recommenders.params import SequenceMethod
from kitrec.training.distributed import distributed_context
from kitrec.training.loop import OnEpochEnd
from kitrec.training.progress import training_bar
from kitrec.training.state import Progress
from kitrec.training.tensorboard import tensorboard_callback
from kitrec.training.validation_users import Most


@dataclass(frozen=True)
class FitFiles:
    """The user's files, as the options name them."""

    interactions: Path
    columns: Mapping[str, str]
    metadata: Path | None
    embeddings: Path | None


@dataclass(frozen=True)
class Training:
    name: str
    p: SequenceMethod
    data: FitData
    folder: Path
    head: dict[str, Any]  # of its report

    @property
    def is_tested(self) -> bool:
        """Whether last items are held out."""
        return self.p.training.mode == "standard"


def say(*notices: str) -> None:
    """Print the notices that are not empty, in one of the processes."""
    for notice in notices:
        if notice and distributed_context().is_main:
            output.note(notice)


def prepare(
    methods: Mapping[str, SequenceMethod],
    read: Interactions,
    source: FitFiles,
    to: Path,
    seed: int,
    negatives: int,
    *,
    overwrite: bool,
    validation_users: Most = "all",
) -> list[Training]:
    """Return the trainings, after everything that could refuse one of them."""
    _refuse_unused(methods.values(), source)
    check_layout(to, several=len(methods) > 1)
    trainings = []
    for name, p in methods.items():
        data = FitData(read, _read_features(p, source, read.vocabulary), validation_users)
        folder = to if len(methods) == 1 else to / name
        used = metadata_paths(source.metadata, data.features.names, source.embeddings) if source.metadata else {}
        head = describe(describe_data(source.interactions, read, source.columns, used), name, p, seed, negatives)
        say(check_folder(folder, head, training_name(p, data, seed), overwrite=overwrite))
        say(proposed_size(name, p.model, len(read.users)))
        trainings.append(Training(name, p, data, folder, head))
    for training in trainings:
        make_writable(training.folder)
    return trainings


def train_all(
    trainings: list[Training], p: FitParams, to: Path, seed: int, negatives: int
) -> dict[str, dict[str, Any]]:
    """Train one after the other and write their reports; return them in the main process, nothing in the others."""
    is_main, tested = distributed_context().is_main, [training for training in trainings if training.is_tested]
    baselines = evaluate_baselines(tested[0].data, p.item_knn, seed, negatives) if tested and is_main else {}
    reports = {}
    for each in trainings:
        head = {**each.head, "baselines": baselines} if each.is_tested else each.head
        with _on_progress(each, quiet=not is_main) as on_progress:
            reports[each.name] = train_on(
                each.p, each.data, seed, negatives, on_progress, each.folder, pin_memory=p.pin_memory, head=head
            )
    if is_main and len(reports) > 1:
        files.write_json({"methods": reports}, to / REPORT)
    return reports if is_main else {}


@contextmanager
def _on_progress(training: Training, *, quiet: bool) -> Iterator[OnEpochEnd]:
    """Yield a callback that shows a bar and writes TensorBoard's logs; neither if `quiet`."""
    p = training.p
    counts = training.head["data"]["counts"]
    sizes = {name: counts[name] for name in ("users", "items", "interactions")}
    settings, metric = {"seed": training.head["seed"], **asdict(p), "data": sizes}, p.training.metric
    write = None if quiet else tensorboard_callback(training.folder / "logs", settings, metric)
    hidden = quiet or not output.is_text()
    with training_bar(training.name, p.training.epochs, metric, quiet=hidden) as advance:

        def on_progress(progress: Progress) -> None:
            advance(progress)
            if write:
                write(progress)

        yield on_progress


def _requested(p: SequenceMethod) -> list[str]:
    return list(p.model.metadata.features) if isinstance(p.model, BERT4Rec) else []


def _refuse_unused(methods: Iterable[SequenceMethod], source: FitFiles) -> None:
    """Refuse files that none of the methods would read."""
    features = {feature for p in methods for feature in _requested(p)}
    unused = {
        "--metadata": source.metadata and not features,
        "--embeddings": source.embeddings and "title" not in features,
    }
    for option in (name for name, is_unused in unused.items() if is_unused):
        raise InputError(
            f"{option}: not used by this method; add the feature to model.metadata.features of a bert4rec "
            "(genre, director, writer, title), or omit the option"
        )
    if source.embeddings and source.metadata is None:
        raise InputError("--embeddings: also give --metadata, the folder with the files of the other features")


def _read_features(p: SequenceMethod, source: FitFiles, vocabulary: Vocabulary) -> ItemFeatures:
    features = _requested(p)
    if not features:
        return ItemFeatures()
    if source.metadata is None:
        say(f"without {', '.join(features)}: --metadata was not given")
        return ItemFeatures()
    metadata = read_metadata(source.metadata, vocabulary, features, source.embeddings)
    say(*metadata.notices)
    return metadata.features
