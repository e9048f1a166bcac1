"""The model's answers to records: P(Yes) of any records, and the rankings table of lists of candidates."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
import torch

from kitrec.schemas.rankings import from_scores
from kitrec.thinkrec.adapter_mixture import Stack
from kitrec.thinkrec.auc import auc, uauc
from kitrec.thinkrec.conversion import asked_candidates
from kitrec.thinkrec.model import ThinkModel
from kitrec.thinkrec.params import Objective
from kitrec.thinkrec.prompt_composer import Composer
from kitrec.thinkrec.records import Record
from kitrec.thinkrec.shared_prefix import ask, batches


class Asks(Protocol):
    """Whoever says P(Yes): transformers here, an engine in served_scoring.py."""

    def probabilities(
        self, lists: Sequence[Sequence[Record]], weights: np.ndarray | None = None
    ) -> list[np.ndarray]: ...


@dataclass(frozen=True)
class Asker:
    """A model, how its prompts look, and whose adapters answer (None: the one that is active)."""

    model: ThinkModel
    composer: Composer
    objective: Objective
    stack: Stack | None = None

    def probabilities(self, lists: Sequence[Sequence[Record]], weights: np.ndarray | None = None) -> list[np.ndarray]:
        """P(Yes) for each list of records of one user; all by the first template. `weights` [lists, G] of the stack."""
        prompts = [[self.composer.compose(own) for own in records] for records in lists]
        found: list[np.ndarray] = [np.empty(0)] * len(lists)
        for batch in batches(prompts):
            with self._answered_by(None if weights is None else weights[batch]):
                said = ask(self.model, [prompts[user] for user in batch])
            for user, own in zip(batch, said, strict=True):
                found[user] = own.probabilities(self.objective)
        return found

    def _answered_by(self, weights: np.ndarray | None) -> AbstractContextManager[None]:
        if weights is None or self.stack is None:
            return nullcontext()
        return self.stack.weighted(torch.from_numpy(weights).float())

    def flat(self, records: Sequence[Record], weights_of: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """P(Yes) of records in their order; those of one user with one history are asked together."""
        lists: dict[tuple[str, tuple[str, ...]], list[int]] = {}
        for number, own in enumerate(records):
            lists.setdefault((own.user, own.history), []).append(number)
        weights = None if weights_of is None else np.stack([weights_of[user] for user, _ in lists])
        values = self.probabilities([[records[k] for k in own] for own in lists.values()], weights)
        found = np.empty(len(records))
        for rows, value in zip(lists.values(), values, strict=True):
            found[rows] = value
        return found


def judge_of(asker: Asker, records: Sequence[Record]) -> Callable[[], dict[str, float]]:
    """AUC and UAUC of validation records, as the training asks for them."""
    labels, users = np.array([own.label for own in records]), [own.user for own in records]

    def judge() -> dict[str, float]:
        scores = asker.flat(records)
        return {"auc": auc(labels, scores), "uauc": uauc(labels, scores, users)}

    return judge


def rank(
    method: str,
    records: pl.DataFrame,
    histories: Mapping[str, Sequence[str]],
    titles: Mapping[str, str],
    asker: Asks,
    weights: np.ndarray | None = None,
) -> pl.DataFrame:
    """The rankings table of the pipeline's own records, every candidate scored by P(Yes)."""
    lists = [asked_candidates(row, histories, titles) for row in records.iter_rows(named=True)]
    scores = asker.probabilities(lists, weights)
    return from_scores(method, records, [own.astype(float).tolist() for own in scores])
