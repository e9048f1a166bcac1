"""How likely every candidate is, given what a method wrote before it names one; in append-only shards."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from peft import PeftModel

from kitrec.core import tables
from kitrec.core.errors import InputError
from kitrec.core.shards import compute_in_shards
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.finetuning.adapters import check_adapter
from kitrec.llm.generation.requests import Question, Request, prompt_hash
from kitrec.llm.likelihood.shared_prefix import likelihoods
from kitrec.prompts.answer_head import AnswerHead
from kitrec.schemas.likelihoods import LIKELIHOODS

Score = Callable[[list[Question]], list[np.ndarray]]


class Scorer:
    """score(questions) by a loaded base and its adapters."""

    def __init__(self, model: Any, base: PinnedBase, adapters: Mapping[str, Path]) -> None:
        for folder in adapters.values():
            check_adapter(folder, base)
        self._model = model
        for number, (name, folder) in enumerate(adapters.items()):
            if number:
                self._model.load_adapter(str(folder), name)
            else:
                self._model = PeftModel.from_pretrained(self._model, str(folder), adapter_name=name)
        self._model.eval()

    def score(self, questions: list[Question]) -> list[np.ndarray]:
        """Log likelihoods of each question's continuations, adapter by adapter."""
        found: list[np.ndarray] = [np.empty(0)] * len(questions)
        for adapter in dict.fromkeys(q.adapter for q in questions):
            chosen = [k for k, q in enumerate(questions) if q.adapter == adapter]
            with self._speaking(adapter):
                values = likelihoods(self._model, [questions[k] for k in chosen])
            for k, own in zip(chosen, values, strict=True):
                found[k] = own
        return found

    def _speaking(self, adapter: str | None) -> AbstractContextManager[None]:
        """The model as this adapter, or as the base."""
        if adapter:
            self._model.set_adapter(adapter)
            return nullcontext()
        return self._model.disable_adapter() if isinstance(self._model, PeftModel) else nullcontext()


def questions_of(requests: Sequence[Request], texts: Sequence[str | None], head: AnswerHead) -> list[Question]:
    """How likely is every candidate, after the prompt and what was thought in its text?"""
    pairs = zip(requests, texts, strict=True)
    return [Question(*head.asked(r.prompt, text, r.candidates), r.adapter) for r, text in pairs]


def score_all(
    answers: pl.DataFrame,
    records: pl.DataFrame,
    requests: Sequence[Request],
    head: AnswerHead,
    score: Score,
    *,
    shard: int,
    work: Path,
) -> pl.DataFrame:
    """The likelihoods table in the order of the records. Shards already in `work` are read, the others scored."""
    joined = records.select("record_id", "candidate_ids").join(
        answers, on="record_id", how="left", validate="1:1", maintain_order="left"
    )
    if joined["prompt_hash"].to_list() != [prompt_hash(request.prompt) for request in requests]:
        raise InputError("the answers were given to other prompts than these: run `dvc repro infer_vllm` first")

    def scored(part: slice) -> pl.DataFrame:
        return _scored(joined[part], requests[part], head, score)

    return compute_in_shards(joined.height, shard, work, LIKELIHOODS, scored)


def _scored(joined: pl.DataFrame, requests: Sequence[Request], head: AnswerHead, score: Score) -> pl.DataFrame:
    """A record whose prompt no model could take has no likelihoods, but its reason."""
    rows = list(zip(joined.iter_rows(named=True), requests, strict=True))
    asked = [(k, row, request) for k, (row, request) in enumerate(rows) if row["error"] is None]
    questions = questions_of([request for _, _, request in asked], [row["text"] for _, row, _ in asked], head)
    values = score(questions) if questions else []
    found = {k: (q, v) for (k, _, _), q, v in zip(asked, questions, values, strict=True)}
    return tables.from_rows([_row(row, found.get(k)) for k, (row, _) in enumerate(rows)], LIKELIHOODS)


def _row(row: Mapping[str, Any], found: tuple[Question, np.ndarray] | None) -> dict[str, object]:
    return {
        "method": row["method"],
        "record_id": row["record_id"],
        "prompt_hash": row["prompt_hash"],
        "loglik": found[1].tolist() if found else None,
        "tokens": [len(name) for name in found[0].continuations] if found else None,
        "error": row["error"],
    }
