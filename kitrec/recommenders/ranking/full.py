"""Where the truth stands among all items, or among some: scores of a trained model, users in chunks.

    score of item i = represent(history) · W_i + b_i;   items of the history are out of the race
With g items better and e equal (the truth included) a metric is its mean over the ranks g+1 ... g+e, so that equal
scores never favour the truth. Shapes: U users, C candidates, N items, d width."""

from collections.abc import Iterator

import numpy as np
import torch

from kitrec.recommenders.data.packed_batches import by_length, pack
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models.sequence_model import Recommender

CHUNK = 512
DEPTH = 10


def represent(model: Recommender, histories: Sequences) -> torch.Tensor:
    """[U, d] for histories of at least one item each; BERT4Rec needs none, it is shown the mask."""
    shown = model.shown(histories)
    if not shown.lengths.all():
        raise ValueError("a history without items has no state: rank such users in another way")
    return model.represent(pack(shown, next(model.parameters()).device))


def places(model: Recommender, histories: Sequences, truths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many of all items are better than each user's truth, and how many equal (itself included)."""
    order = by_length(histories)
    found = np.empty((2, len(histories)), dtype=np.int64)
    for part in _chunks(order):
        found[:, part] = _among_all(model, histories.take(part), truths[part])
    return found[0], found[1]


def candidate_scores(model: Recommender, histories: Sequences, candidates: np.ndarray) -> np.ndarray:
    """[U, C] scores of each user's own candidates (item numbers from 1)."""
    weight, bias = model.output()
    chosen = torch.from_numpy(candidates - 1).to(weight.device)
    scores = np.empty(candidates.shape, dtype=np.float32)
    with torch.inference_mode():
        for part in _chunks(by_length(histories)):
            listed = chosen[torch.from_numpy(part)]
            states = represent(model, histories.take(part))
            own = torch.einsum("ud,ucd->uc", states, weight[listed])
            scores[part] = (own if bias is None else own + bias[listed]).cpu().numpy()
    return scores


def quality(better: np.ndarray, equal: np.ndarray, depth: int = DEPTH) -> dict[str, float]:
    """Means over users of Hit@depth, NDCG@depth and MRR, ties by expectation."""
    ranks = np.arange(1, int((better + equal).max(initial=1)) + 1)
    within = ranks <= depth
    gains = {f"hit@{depth}": within * 1.0, f"ndcg@{depth}": within / np.log2(ranks + 1), "mrr": 1 / ranks}
    return {name: float(_expected(gain, better, equal).mean()) for name, gain in gains.items()}


def _expected(gain: np.ndarray, better: np.ndarray, equal: np.ndarray) -> np.ndarray:
    summed = np.concatenate([[0.0], np.cumsum(gain)])
    return (summed[better + equal] - summed[better]) / equal


def _among_all(model: Recommender, histories: Sequences, truths: np.ndarray) -> np.ndarray:
    weight, bias = model.output()
    with torch.inference_mode():
        states = represent(model, histories)
        scores = states @ weight.T if bias is None else torch.addmm(bias, states, weight.T)
        truth = torch.from_numpy(truths - 1).to(scores.device)[:, None]
        reached = scores.gather(1, truth)
        seen = histories.users * scores.shape[1] + histories.items - 1
        scores.view(-1).index_fill_(0, torch.from_numpy(seen).to(scores.device), -torch.inf)
        scores.scatter_(1, truth, reached)  # a truth that was seen before still takes part
        counts = [found.sum(1, dtype=torch.int32) for found in (scores > reached, scores == reached)]  # fast on CPU
        return torch.stack(counts).cpu().numpy()


def _chunks(order: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(order), CHUNK):
        yield order[start : start + CHUNK]
