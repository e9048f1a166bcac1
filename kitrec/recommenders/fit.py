"""A model on anybody's own interactions: leave-one-out to judge it, or everything to learn from (full_data).

<to>/best-000012-ndcg@10-0.0345   the model of the best epoch, for `kitrec predict`
<to>/last-000032-ndcg@10-0.0341   the one of the last
<to>/training-0123456789ab        what a training that broke off goes on from; other data or settings have another
<to>/report.json                  how it was chosen, and how good it is on each user's last item"""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kitrec.core import files
from kitrec.core.randomness import generator
from kitrec.core.ranking_metrics import mean_metrics
from kitrec.recommenders.data.interaction_files import Interactions
from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.sequences import LeaveOneOut, leave_one_out
from kitrec.recommenders.models.sequence_model import Recommender
from kitrec.recommenders.params import SequenceMethod
from kitrec.recommenders.ranking.full import ranks
from kitrec.recommenders.ranking.sampled import sample_negatives, sampled_metrics
from kitrec.recommenders.sequence_fitting import Fitted, fit, name_of
from kitrec.recommenders.sequence_storage import Stored, save_model
from kitrec.recommenders.sequence_training import Progress, Validation
from kitrec.training.distributed import team


@dataclass(frozen=True)
class OwnData:
    interactions: Interactions
    known: ItemFeatures


def train_on(
    p: SequenceMethod,
    data: OwnData,
    seed: int,
    negatives: int,
    told: Callable[[Progress], None],
    to: Path,
    *,
    pinned: bool = False,
) -> dict[str, Any]:
    """Learn, keep both models, and tell; `negatives` other than 0: the test is ranked among so many others too."""
    read, split = data.interactions, leave_one_out(data.interactions.sequences)
    everything = p.training.mode == "full_data"
    validation = None if everything else Validation(split.before_validation, split.validation)
    learned, items = read.sequences if everything else split.train, len(read.vocabulary)
    popularity = np.bincount(learned.items, minlength=items + 1).astype(np.float32)
    others = {} if everything else _others(split, popularity[1:], seed, negatives)
    work = _work(p, data, seed, to)
    fitted = fit(p, data.known, items, learned, validation, seed, work, told, pinned=pinned)
    report: dict[str, Any] = {"chosen": fitted.told(), "users": len(read.users), "items": items}
    if not team().first:
        return report
    if not everything:
        report |= {"test": _judged(fitted.model, split, others)}
    _store(p, data, fitted, popularity, to)
    files.write_json(report, to / "report.json")
    return report


def _others(split: LeaveOneOut, popularity: np.ndarray, seed: int, negatives: int) -> dict[str, np.ndarray]:
    """`negatives` untouched items for each user, drawn uniformly and by popularity; none if that is 0."""
    weights = {"uniform": np.ones_like(popularity), "popularity": popularity} if negatives else {}
    return {
        name: sample_negatives(generator(seed, "sampled evaluation", name), split.complete, own, negatives)
        for name, own in weights.items()
    }


def _judged(model: Recommender, split: LeaveOneOut, others: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Each user's last item among all items, and among some."""
    among_all = mean_metrics(*ranks(model, split.before_test, split.test))
    among_some = {name: sampled_metrics(model, split.before_test, split.test, own) for name, own in others.items()}
    return {"all": among_all, **among_some}


def _work(p: SequenceMethod, data: OwnData, seed: int, to: Path) -> Path:
    """One folder for each data and settings; what was left of others goes."""
    told = [asdict(p), data.interactions.vocabulary.item_ids, data.known.names, data.known.counts, seed]
    digest, titles = hashlib.sha256(json.dumps(told).encode()), data.known.titles
    for own in (data.interactions.sequences, *data.known.values.values()):
        digest.update(own.items.tobytes() + own.starts.tobytes())
    digest.update(b"" if titles is None else str(titles.shape).encode() + titles.tobytes())
    work = to / f"training-{digest.hexdigest()[:12]}"
    work.mkdir(parents=True, exist_ok=True)
    for stale in to.glob("training-*"):
        if stale != work:
            shutil.rmtree(stale, ignore_errors=True)  # another process of the team may be at it too
    return work


def _store(p: SequenceMethod, data: OwnData, fitted: Fitted[Recommender], popularity: np.ndarray, to: Path) -> None:
    """The newest best and last; those of an earlier run in this folder go."""
    progress = fitted.progress
    best = {name: own.clone() for name, own in fitted.model.state_dict().items()}
    older = [*to.glob("best-*"), *to.glob("last-*")]
    written = []
    for role, epoch, weights in (("last", progress.epoch, fitted.last), ("best", progress.best_epoch, best)):
        fitted.model.load_state_dict(weights)
        stored = Stored(fitted.model, data.interactions.vocabulary, popularity, progress.rows[epoch - 1])
        written.append(to / f"{role}-{name_of(progress, epoch)}")
        save_model(stored, p.model, data.known, written[-1])
    for stale in set(older) - set(written):
        shutil.rmtree(stale)
