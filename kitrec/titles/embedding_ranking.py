"""Candidates ranked by the embedding model: s(u, i) + λ log q_i. Shapes: B records, C candidates."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch

from kitrec.recommenders.data.user_histories import history_interactions, to_sequences
from kitrec.titles.catalogue import Catalogue
from kitrec.titles.embedding_model import EmbeddingModel, VectorsOf
from kitrec.titles.prior import METRIC, chosen_weight, padded
from kitrec.titles.samples import newest_histories
from kitrec.training.state import Row

CHUNK = 512  # records whose titles are read together


@dataclass(frozen=True)
class Questions:
    """Histories [B, L] and candidates of records; `ground_truth` [B] is the column of the item that was taken."""

    histories: np.ndarray
    candidates: list[np.ndarray]
    ground_truth: np.ndarray

    def numbers(self) -> np.ndarray:
        """Return all items that are read."""
        return np.unique(np.concatenate([self.histories.ravel(), *self.candidates]))


def questions(records: pl.DataFrame, interactions: pl.DataFrame, catalogue: Catalogue, items: int) -> Questions:
    """Return the questions of records; `interactions` are those of their users, `items` are shown at most."""
    users = records.select("user_id", "target")
    shown = history_interactions(interactions, users, "both").filter(~pl.col("held_out"))
    histories = newest_histories(to_sequences(shown, users, catalogue.vocabulary), items)
    candidates = [catalogue.vocabulary.numbers(pl.Series(ids)) for ids in records["candidate_ids"].to_list()]
    true = catalogue.vocabulary.numbers(records["gt_item_id"])
    ground_truth = [int(np.flatnonzero(c == t)[0]) for c, t in zip(candidates, true, strict=True)]
    return Questions(histories, candidates, np.array(ground_truth, dtype=np.int64))


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
