"""Candidates ranked by the embedding model: s(u, i) + λ log q_i. Shapes: B records, C candidates."""

import numpy as np
import torch

from kitrec.titles.embedding_model import EmbeddingModel, VectorsOf
from kitrec.titles.prior import METRIC, chosen_weight, padded
from kitrec.titles.questions import Questions
from kitrec.training.state import Row

CHUNK = 512  # records whose titles are read together


@torch.no_grad()
def scores(model: EmbeddingModel, asked: Questions, vectors_of: VectorsOf) -> list[np.ndarray]:
    """Return s(u, i) of every record's candidates; a record without a history scores 0 throughout."""
    values: list[np.ndarray] = []
    for start in range(0, len(asked.histories), CHUNK):
        histories, candidates = asked.histories[start : start + CHUNK], asked.candidates[start : start + CHUNK]
        users, items = model.vectors(histories, np.concatenate(candidates), vectors_of)
        lengths = torch.tensor([len(c) for c in candidates], device=users.device)
        products = model.towers.scale * (users.repeat_interleave(lengths, 0) * items).sum(-1)
        known = torch.from_numpy((histories > 0).any(1)).to(users.device).repeat_interleave(lengths)
        flat = torch.where(known, products, 0.0).double().cpu().numpy()
        values += np.split(flat, np.cumsum([len(c) for c in candidates])[:-1])
    return values


def with_prior(values: list[np.ndarray], asked: Questions, shares: np.ndarray, weight: float) -> list[np.ndarray]:
    """Return s(u, i) + λ log q_i."""
    return [value + weight * np.log(shares[c]) for value, c in zip(values, asked.candidates, strict=True)]


def validation_row(model: EmbeddingModel, asked: Questions, shares: np.ndarray, vectors_of: VectorsOf) -> Row:
    """Return NDCG@10 of development records at the best weight of popularity, and that weight."""
    model.train(False)
    log_shares = [np.log(shares[c]) for c in asked.candidates]
    values = padded(scores(model, asked, vectors_of))
    weight, ndcg = chosen_weight(values, padded(log_shares), asked.ground_truth)
    return {METRIC: ndcg, "prior_weight": weight}
