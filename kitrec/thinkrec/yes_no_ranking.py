"""Scoring of records by P(Yes), or by the probability of their item's title, and the rankings table of candidates."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
import torch

from kitrec.core.auc import auc, uauc
from kitrec.schemas.rankings import from_scores
from kitrec.thinkrec.adapter_mixture import StackedAdapters
from kitrec.thinkrec.conversion import candidate_records
from kitrec.thinkrec.model import ThinkModel
from kitrec.thinkrec.params import Objective
from kitrec.thinkrec.prompt_composer import PromptComposer
from kitrec.thinkrec.records import Record
from kitrec.thinkrec.samples import sample
from kitrec.thinkrec.shared_prefix import batches_by_length, yes_no_logits

TITLES_PER_BATCH = 16  # records whose titles are scored in one forward pass


class YesNoScorer(Protocol):
    """Scores records by P(Yes): with transformers here, on an engine in vllm_scoring.py."""

    def probabilities(
        self, lists: Sequence[Sequence[Record]], mixtures: np.ndarray | None = None
    ) -> list[np.ndarray]: ...


@dataclass(frozen=True)
class TransformersScorer:
    """A model, its prompts, and the adapters that answer (None: the active one)."""

    model: ThinkModel
    composer: PromptComposer
    objective: Objective
    stack: StackedAdapters | None = None

    def probabilities(self, lists: Sequence[Sequence[Record]], mixtures: np.ndarray | None = None) -> list[np.ndarray]:
        """Return P(Yes) for lists of records of one user each, all by the first template; `mixtures` [lists, G, G] are
        those of the stacked adapters."""
        prompts = [[self.composer.compose(record) for record in records] for records in lists]
        probabilities: list[np.ndarray] = [np.empty(0)] * len(lists)
        for batch in batches_by_length(prompts):
            with self._adapters(None if mixtures is None else mixtures[batch]):
                logits = yes_no_logits(self.model, [prompts[user] for user in batch])
            for user, of_user in zip(batch, logits, strict=True):
                probabilities[user] = of_user.probabilities(self.objective)
        return probabilities

    def _adapters(self, mixtures: np.ndarray | None) -> AbstractContextManager[None]:
        if mixtures is None or self.stack is None:
            return nullcontext()
        return self.stack.mixed(torch.from_numpy(mixtures).float())

    def score_records(self, records: Sequence[Record]) -> np.ndarray:
        """Return P(Yes) of records in their order, or the probability of the title where the answer is an item; those
        of one user with one history share a forward pass."""
        lists: dict[tuple[str, tuple[str, ...]], list[int]] = {}
        for number, record in enumerate(records):
            if record.answer == "yes_no":
                lists.setdefault((record.user, record.history), []).append(number)
        values = self.probabilities([[records[k] for k in numbers] for numbers in lists.values()])
        scores = np.empty(len(records))
        for numbers, value in zip(lists.values(), values, strict=True):
            scores[numbers] = value
        with_item = [number for number, record in enumerate(records) if record.answer == "item"]
        for start in range(0, len(with_item), TITLES_PER_BATCH):
            batch = with_item[start : start + TITLES_PER_BATCH]
            scores[batch] = self._title_probabilities([records[k] for k in batch])
        return scores

    @torch.inference_mode()
    def _title_probabilities(self, records: Sequence[Record]) -> np.ndarray:
        batch = [sample(record, self.composer, self.composer.encoder, 0) for record in records]
        return self.model.outputs(batch).answer_log_probs().double().exp().cpu().numpy()


def make_validator(scorer: TransformersScorer, records: Sequence[Record]) -> Callable[[], dict[str, float]]:
    """Return a function that computes AUC and UAUC of the validation records with the current weights."""
    labels, users = np.array([record.label for record in records]), [record.user for record in records]

    def validate() -> dict[str, float]:
        scores = scorer.score_records(records)
        return {"auc": auc(labels, scores), "uauc": uauc(labels, scores, users)}

    return validate


def rank_candidates(
    method: str,
    records: pl.DataFrame,
    histories: Mapping[str, Sequence[str]],
    titles: Mapping[str, str],
    scorer: YesNoScorer,
    mixtures: np.ndarray | None = None,
) -> pl.DataFrame:
    """Return the rankings table of pipeline records, every candidate scored by P(Yes)."""
    lists = [candidate_records(row, histories, titles) for row in records.iter_rows(named=True)]
    scores = scorer.probabilities(lists, mixtures)
    return from_scores(method, records, [values.astype(float).tolist() for values in scores])
