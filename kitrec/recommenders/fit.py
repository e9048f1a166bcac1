"""Training of a sequence model on user-supplied files: leave-one-out to evaluate it, or on everything (full_data).

<to>/best-000012-ndcg@10-0.0345   the model of the best epoch, for `kitrec predict`
<to>/last-000032-ndcg@10-0.0341   the one of the last
<to>/training-0123456789ab        checkpoint of an interrupted training; other data or settings have another folder
<to>/report.json                  data, method, settings and seed, metrics of the chosen epoch, and of the test on each
                                  user's last item, beside those of the baselines"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kitrec.core import files
from kitrec.core.randomness import generator
from kitrec.core.ranking_metrics import mean_metrics, with_recall
from kitrec.recommenders.data.interaction_files import Interactions
from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.sequences import LeaveOneOut, Sequences, leave_one_out
from kitrec.recommenders.fit_baselines import Metrics, baseline_metrics
from kitrec.recommenders.fit_report import REPORT
from kitrec.recommenders.models.interface import Recommender
from kitrec.recommenders.models.params import ItemKNN
from kitrec.recommenders.params import SequenceMethod
from kitrec.recommenders.ranking.full import ranks
from kitrec.recommenders.ranking.sampled import sample_negatives, sampled_metrics
from kitrec.recommenders.sequence_training import Validation, train_sequence_model
from kitrec.recommenders.storage import StoredModel, save_model
from kitrec.training.checkpoint import epoch_name
from kitrec.training.distributed import distributed_context
from kitrec.training.loop import OnEpochEnd
from kitrec.training.state import TrainingResult
from kitrec.training.validation_users import Most, sampled_positions


@dataclass(frozen=True)
class FitData:
    """Interactions and item metadata of user-supplied files."""

    interactions: Interactions
    features: ItemFeatures
    validation_users: Most = "all"  # that choose the epoch

    def validated(self, split: LeaveOneOut, seed: int) -> np.ndarray:
        """Return the users of the split that choose the epoch."""
        return sampled_positions(len(split.validation), self.validation_users, seed)

    @property
    def mask_history(self) -> bool:
        """Whether seen items are left out of every ranking: where the data keep repeats, they may come again."""
        return self.interactions.repeats != "keep"


def train_on(
    p: SequenceMethod,
    data: FitData,
    seed: int,
    negatives: int,
    on_epoch_end: OnEpochEnd,
    to: Path,
    *,
    pin_memory: bool = False,
    head: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train, store the best and the last model, return the report; `negatives` > 0: also test among that many.

    `head` begins the report: what fit_report.py says of data and settings, and the baselines."""
    interactions, split = data.interactions, leave_one_out(data.interactions.sequences)
    everything = p.training.mode == "full_data"
    validation = None
    if not everything:
        users = data.validated(split, seed)
        shown, targets = split.before_validation.take(users), split.validation[users]
        validation = Validation(shown, targets, mask_history=data.mask_history)
    sequences, items = interactions.sequences if everything else split.train, len(interactions.vocabulary)
    popularity = np.bincount(sequences.items, minlength=items + 1).astype(np.float32)
    sampled = {} if everything else _sampled_negatives(data, split, seed, negatives)
    work = work_folder(p, data, seed, to)
    result = train_sequence_model(
        p, data.features, items, sequences, validation, seed, work, on_epoch_end, pin_memory=pin_memory
    )
    report: dict[str, Any] = {**(head or {}), "users": len(interactions.users), "items": items}
    if validation is not None and len(validation.targets) < len(split.validation):
        report["validation_users"] = len(validation.targets)
    report["chosen"] = result.metrics()
    if not distributed_context().is_main:
        return report
    if not everything:
        report |= {"test": _test_metrics(result.model, split, sampled, mask_history=data.mask_history)}
    (to / REPORT).unlink(missing_ok=True)  # a report never describes another model
    _store(p, data, result, popularity, to)
    files.write_json(report, to / REPORT)
    return report


def evaluate_baselines(data: FitData, knn: ItemKNN, seed: int, negatives: int) -> dict[str, Metrics]:
    """Return the metrics of popularity and item-kNN on each user's last item, ranked as the models' are."""
    split, items = leave_one_out(data.interactions.sequences), len(data.interactions.vocabulary)
    if not len(split.test):
        return {}
    sampled = _sampled_negatives(data, split, seed, negatives)
    baselines = baseline_metrics(split, items, knn, seed, sampled, mask_history=data.mask_history)
    return {
        name: {which: with_recall(values) for which, values in metrics.items()} for name, metrics in baselines.items()
    }


def _sampled_negatives(data: FitData, split: LeaveOneOut, seed: int, negatives: int) -> dict[str, np.ndarray]:
    """Sample `negatives` items per user, uniformly and by popularity; none if that is 0.

    They are outside the history, or where repeats are kept, any but the test item."""
    if not negatives:
        return {}
    positives = split.complete if data.mask_history else Sequences(split.test, np.arange(len(split.test) + 1))
    popularity = np.bincount(split.train.items, minlength=len(data.interactions.vocabulary) + 1)[1:].astype(np.float32)
    return {
        name: sample_negatives(generator(seed, "sampled evaluation", name), positives, weight, negatives)
        for name, weight in {"uniform": np.ones_like(popularity), "popularity": popularity}.items()
    }


def _test_metrics(
    model: Recommender, split: LeaveOneOut, sampled: dict[str, np.ndarray], *, mask_history: bool
) -> dict[str, dict[str, float]]:
    """Return the metrics of each user's last item, ranked among all items and among the sampled ones."""
    among_all = mean_metrics(*ranks(model, split.before_test, split.test, mask_history=mask_history))
    among_sampled = {
        name: sampled_metrics(model, split.before_test, split.test, negatives) for name, negatives in sampled.items()
    }
    return {name: with_recall(metrics) for name, metrics in {"all": among_all, **among_sampled}.items()}


def work_folder(p: SequenceMethod, data: FitData, seed: int, to: Path) -> Path:
    """Create the checkpoint folder of these data and settings; remove those of other data or settings."""
    work = to / training_name(p, data, seed)
    work.mkdir(parents=True, exist_ok=True)
    for outdated in to.glob("training-*"):
        if outdated != work:
            shutil.rmtree(outdated, ignore_errors=True)  # another process may be removing it too
    return work


def training_name(p: SequenceMethod, data: FitData, seed: int) -> str:
    """Return the name of the checkpoint folder, which holds a digest of all that a training depends on."""
    settings = [asdict(p), data.interactions.vocabulary.item_ids, data.features.names, data.features.counts, seed]
    settings += [] if data.mask_history else ["repeats are kept"]
    if data.validation_users != "all" and data.validation_users < len(data.interactions.users):
        settings.append(f"{data.validation_users} validation users")
    digest, titles = hashlib.sha256(json.dumps(settings).encode()), data.features.titles
    for sequences in (data.interactions.sequences, *data.features.values.values()):
        digest.update(sequences.items.tobytes() + sequences.starts.tobytes())
    if titles is not None:
        digest.update(str(titles.shape).encode())
        digest.update(np.ascontiguousarray(titles).data)  # a memory-mapped table is not copied
    return f"training-{digest.hexdigest()[:12]}"


def _store(
    p: SequenceMethod, data: FitData, result: TrainingResult[Recommender], popularity: np.ndarray, to: Path
) -> None:
    """Store the best and the last model; those of an earlier run in this folder are removed."""
    progress = result.progress
    best = {name: tensor.clone() for name, tensor in result.model.state_dict().items()}
    older = [*to.glob("best-*"), *to.glob("last-*")]
    written = []
    for role, epoch, weights in (("last", progress.epoch, result.last), ("best", progress.best_epoch, best)):
        result.model.load_state_dict(weights)
        interactions, metrics = data.interactions, progress.rows[epoch - 1]
        stored = StoredModel(result.model, interactions.vocabulary, popularity, metrics, interactions.repeats)
        written.append(to / f"{role}-{epoch_name(progress, epoch, p.training.metric)}")
        save_model(stored, p.model, written[-1], data.features)
    for outdated in set(older) - set(written):
        shutil.rmtree(outdated)
