"""Titles compared as they are: the vectors of a text encoder, or of TF-IDF; nothing is learned from users.

    u       = Σ_k e_k / |Σ_k e_k|         e_k: unit vectors of the newest items shown
    s(u, i) = 20 u · e_i
    rank by   s(u, i) + w log q_i         w and q: as for learned vectors (calibration.py)
The baseline of text: what a method learns must be worth more. 20 is the scale of cosines that encoders of sentences are
trained with (the default of sentence-transformers), so w weighs popularity against comparable numbers.
Shapes: N items, d width, B records, L items of a history, C candidates."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kitrec.core.errors import InputError
from kitrec.recommenders.data.title_embeddings import l2_normalize, sentence_embeddings, tfidf_embeddings
from kitrec.titles.calibration import calibration_row, of_vectors
from kitrec.titles.params import Similarity
from kitrec.titles.questions import Questions
from kitrec.training.state import Row

SCALE = 20.0
BATCH = 64  # titles that an encoder reads together


@dataclass(frozen=True)
class SimilarityModel:
    """Unit vectors of titles [N + 1, d], zero for no item."""

    vectors: np.ndarray

    def scores(self, questions: Questions) -> list[np.ndarray]:
        """Return s(u, i) of every record's candidates; a record without a history scores 0 throughout."""
        users = l2_normalize(self.vectors[questions.histories].sum(axis=1))
        return [
            SCALE * (self.vectors[candidates] @ user).astype(np.float64)
            for user, candidates in zip(users, questions.candidates, strict=True)
        ]


def encode_titles(p: Similarity, titles: list[str], seed: int) -> SimilarityModel:
    """Return the vectors of items 1 ... N from their titles."""
    if p.encoder is not None and not Path(p.encoder).is_dir():
        raise InputError(
            f"there is no encoder in {p.encoder}: `make encoder-minilm` fetches one; or set it to null (TF-IDF)"
        )
    vectors = tfidf_embeddings(titles, seed) if p.encoder is None else sentence_embeddings(titles, p.encoder, BATCH)
    return SimilarityModel(np.concatenate([np.zeros_like(vectors[:1]), vectors]))


def validation_row(model: SimilarityModel, questions: Questions, shares: np.ndarray) -> Row:
    """Return NDCG@10 of development records at the best calibration, and that calibration."""
    evidence = of_vectors(model.scores(questions), questions.candidates, shares)
    return calibration_row(evidence, questions.ground_truth)
