"""Scores of candidates by the embedding model. Shapes: B records, C candidates."""

import numpy as np
import torch

from kitrec.titles.calibration import calibration_row, of_vectors
from kitrec.titles.embedding_model import EmbeddingModel, VectorsOf
from kitrec.titles.questions import Questions
from kitrec.training.state import Row

CHUNK = 512  # records whose titles are read together


@torch.no_grad()
def scores(model: EmbeddingModel, questions: Questions, vectors_of: VectorsOf) -> list[np.ndarray]:
    """Return s(u, i) of every record's candidates; a record without a history scores 0 throughout."""
    values: list[np.ndarray] = []
    for start in range(0, len(questions.histories), CHUNK):
        histories, candidates = questions.histories[start : start + CHUNK], questions.candidates[start : start + CHUNK]
        users, items = model.vectors(histories, np.concatenate(candidates), vectors_of)
        lengths = torch.tensor([len(c) for c in candidates], device=users.device)
        products = model.towers.scale * (users.repeat_interleave(lengths, 0) * items).sum(-1)
        known = torch.from_numpy((histories > 0).any(1)).to(users.device).repeat_interleave(lengths)
        flat = torch.where(known, products, 0.0).double().cpu().numpy()
        values += np.split(flat, np.cumsum([len(c) for c in candidates])[:-1])
    return values


def validation_row(model: EmbeddingModel, questions: Questions, shares: np.ndarray, vectors_of: VectorsOf) -> Row:
    """Return NDCG@10 of development records at the best calibration, and that calibration."""
    model.train(False)
    evidence = of_vectors(scores(model, questions, vectors_of), questions.candidates, shares)
    return calibration_row(evidence, questions.ground_truth)
