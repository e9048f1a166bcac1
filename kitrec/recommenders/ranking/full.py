"""Ranks of target items among all items, and scores of candidates, by a trained sequence model; users in chunks.

    score of item i = represent(history) · W_i + b_i;   items of the history are not ranked, unless mask_history is off
Shapes: U users, C candidates, N items, d width."""

from collections.abc import Iterator

import numpy as np
import torch

from kitrec.recommenders.data.packed_batches import by_length, pack
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.models.interface import Recommender

CHUNK = 512


def represent(model: Recommender, histories: Sequences) -> torch.Tensor:
    """[U, d] for histories of at least one item each; BERT4Rec accepts empty ones, as it reads the mask."""
    shown = model.shown(histories)
    if not shown.lengths.all():
        raise ValueError("a history without items has no state: rank such users in another way")
    return model.represent(pack(shown, next(model.parameters()).device))


def ranks(
    model: Recommender, histories: Sequences, targets: np.ndarray, *, mask_history: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many of all items are better than each user's target, and how many equal (itself included)."""
    counts = np.empty((2, len(histories)), dtype=np.int64)
    for part in _chunks(by_length(histories)):
        counts[:, part] = _among_all(model, histories.take(part), targets[part], mask_history=mask_history)
    return counts[0], counts[1]


def candidate_scores(model: Recommender, histories: Sequences, candidates: np.ndarray) -> np.ndarray:
    """[U, C] scores of each user's candidates (item numbers from 1)."""
    weight, bias = model.output()
    indices = torch.from_numpy(candidates - 1).to(weight.device)
    scores = np.empty(candidates.shape, dtype=np.float32)
    with torch.inference_mode():
        for part in _chunks(by_length(histories)):
            part_indices = indices[torch.from_numpy(part)]
            states = represent(model, histories.take(part))
            part_scores = torch.einsum("ud,ucd->uc", states, weight[part_indices])
            scores[part] = (part_scores if bias is None else part_scores + bias[part_indices]).cpu().numpy()
    return scores


def _among_all(model: Recommender, histories: Sequences, targets: np.ndarray, *, mask_history: bool) -> np.ndarray:
    weight, bias = model.output()
    with torch.inference_mode():
        states = represent(model, histories)
        scores = states @ weight.T if bias is None else torch.addmm(bias, states, weight.T)
        columns = torch.from_numpy(targets - 1).to(scores.device)[:, None]
        target_scores = scores.gather(1, columns)
        if mask_history:
            history = histories.users * scores.shape[1] + histories.items - 1
            scores.view(-1).index_fill_(0, torch.from_numpy(history).to(scores.device), -torch.inf)
            scores.scatter_(1, columns, target_scores)  # a target that is also in the history is still ranked
        comparisons = (scores > target_scores, scores == target_scores)
        counts = [matches.sum(1, dtype=torch.int32) for matches in comparisons]  # int32 is fast on a CPU
        return torch.stack(counts).cpu().numpy()


def _chunks(order: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(order), CHUNK):
        yield order[start : start + CHUNK]
