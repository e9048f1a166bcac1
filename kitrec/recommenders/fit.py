"""Train a sequence model on your own interactions: leave-one-out to evaluate it, or on everything (full_data).

<to>/best-000012-ndcg@10-0.0345   the model of the best epoch, for `kitrec predict`
<to>/last-000032-ndcg@10-0.0341   the one of the last
<to>/training-0123456789ab        checkpoint of an interrupted training; other data or settings have another folder
<to>/report.json                  metrics of the chosen epoch, and of the test on each user's last item"""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kitrec.core import files
from kitrec.core.randomness import generator
from kitrec.recommenders.data.interaction_files import Interactions
from kitrec.recommenders.data.item_metadata import Known
from kitrec.recommenders.data.sequences import LeaveOneOut, leave_one_out
from kitrec.recommenders.models.sequence_model import Recommender
from kitrec.recommenders.params import Method
from kitrec.recommenders.ranking.full import places, quality
from kitrec.recommenders.ranking.sampled import sampled_quality, untouched
from kitrec.recommenders.sequence_training import SELECTION_METRIC, Validation, train_sequence_model
from kitrec.recommenders.storage import StoredModel, save_model
from kitrec.training.checkpoint import epoch_name
from kitrec.training.distributed import distributed_context
from kitrec.training.loop import OnEpochEnd
from kitrec.training.state import TrainingResult


@dataclass(frozen=True)
class OwnData:
    interactions: Interactions
    known: Known


def train_on(
    p: Method,
    data: OwnData,
    seed: int,
    negatives: int,
    on_epoch_end: OnEpochEnd,
    to: Path,
    *,
    pinned: bool = False,
) -> dict[str, Any]:
    """Train, store the best and the last model, return the report; `negatives` > 0: also test among that many."""
    interactions, split = data.interactions, leave_one_out(data.interactions.sequences)
    everything = p.course.mode == "full_data"
    validation = None if everything else Validation(split.before_validation, split.validation)
    sequences, items = interactions.sequences if everything else split.train, len(interactions.vocabulary)
    popularity = np.bincount(sequences.items, minlength=items + 1).astype(np.float32)
    others = {} if everything else _others(split, popularity[1:], seed, negatives)
    work = work_folder(p, data, seed, to)
    result = train_sequence_model(p, data.known, items, sequences, validation, seed, work, on_epoch_end, pinned=pinned)
    report: dict[str, Any] = {"chosen": result.metrics(), "users": len(interactions.users), "items": items}
    if not distributed_context().is_main:
        return report
    if not everything:
        report |= {"test": _test_metrics(result.model, split, others)}
    _store(p, data, result, popularity, to)
    files.write_json(report, to / "report.json")
    return report


def _others(split: LeaveOneOut, popularity: np.ndarray, seed: int, negatives: int) -> dict[str, np.ndarray]:
    """`negatives` untouched items for each user, drawn uniformly and by popularity; none if that is 0."""
    weights = {"uniform": np.ones_like(popularity), "popularity": popularity} if negatives else {}
    return {
        name: untouched(generator(seed, "sampled evaluation", name), split.judged, weight, negatives)
        for name, weight in weights.items()
    }


def _test_metrics(model: Recommender, split: LeaveOneOut, others: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Metrics of each user's last item, ranked among all items and among the drawn ones."""
    among_all = quality(*places(model, split.before_test, split.test))
    among_some = {name: sampled_quality(model, split.before_test, split.test, items) for name, items in others.items()}
    return {"all": among_all, **among_some}


def work_folder(p: Method, data: OwnData, seed: int, to: Path) -> Path:
    """The checkpoint folder of these data and settings; folders of others are removed."""
    settings = [asdict(p), data.interactions.vocabulary.item_ids, data.known.features, data.known.counts, seed]
    digest, titles = hashlib.sha256(json.dumps(settings).encode()), data.known.titles
    for sequences in (data.interactions.sequences, *data.known.values.values()):
        digest.update(sequences.items.tobytes() + sequences.starts.tobytes())
    digest.update(b"" if titles is None else str(titles.shape).encode() + titles.tobytes())
    work = to / f"training-{digest.hexdigest()[:12]}"
    work.mkdir(parents=True, exist_ok=True)
    for outdated in to.glob("training-*"):
        if outdated != work:
            shutil.rmtree(outdated, ignore_errors=True)  # another process may be removing it too
    return work


def _store(p: Method, data: OwnData, result: TrainingResult[Recommender], popularity: np.ndarray, to: Path) -> None:
    """Store the best and the last model; those of an earlier run in this folder are removed."""
    progress = result.progress
    best = {name: tensor.clone() for name, tensor in result.model.state_dict().items()}
    older = [*to.glob("best-*"), *to.glob("last-*")]
    written = []
    for role, epoch, weights in (("last", progress.epoch, result.last), ("best", progress.best_epoch, best)):
        result.model.load_state_dict(weights)
        stored = StoredModel(result.model, data.interactions.vocabulary, popularity, progress.rows[epoch - 1])
        written.append(to / f"{role}-{epoch_name(progress, epoch, SELECTION_METRIC)}")
        save_model(stored, p.model, written[-1], data.known)
    for outdated in set(older) - set(written):
        shutil.rmtree(outdated)
