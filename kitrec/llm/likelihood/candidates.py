"""Likelihood of every candidate after what a method wrote before it names one, in append-only shards."""

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
from kitrec.llm.finetuning.light_lora import use_light_layers
from kitrec.llm.generation.requests import Request, prompt_hash
from kitrec.llm.likelihood.shared_prefix import likelihoods
from kitrec.llm.likelihood.trie import ScoringRequest
from kitrec.prompts.answer_head import AnswerHead
from kitrec.schemas.likelihoods import LIKELIHOODS

Score = Callable[[list[ScoringRequest]], list[np.ndarray]]


class Scorer:
    """Scores continuations by a loaded base and its adapters."""

    def __init__(self, model: Any, base: PinnedBase, adapters: Mapping[str, Path]) -> None:
        for folder in adapters.values():
            check_adapter(folder, base)
        self._model = model
        for number, (name, folder) in enumerate(adapters.items()):
            if number:
                self._model.load_adapter(str(folder), name)
            else:
                self._model = PeftModel.from_pretrained(self._model, str(folder), adapter_name=name)
        self._model.eval().requires_grad_(requires_grad=False)
        use_light_layers(self._model)

    def score(self, requests: list[ScoringRequest]) -> list[np.ndarray]:
        """Return the log likelihoods of each request's continuations, computed adapter by adapter."""
        scores: list[np.ndarray] = [np.empty(0)] * len(requests)
        for adapter in dict.fromkeys(request.adapter for request in requests):
            chosen = [k for k, request in enumerate(requests) if request.adapter == adapter]
            with self._active(adapter):
                values = likelihoods(self._model, [requests[k] for k in chosen])
            for k, row in zip(chosen, values, strict=True):
                scores[k] = row
        return scores

    def _active(self, adapter: str | None) -> AbstractContextManager[None]:
        """Activate an adapter, or the base alone."""
        if adapter:
            self._model.set_adapter(adapter)
            return nullcontext()
        return self._model.disable_adapter() if isinstance(self._model, PeftModel) else nullcontext()


def scoring_requests(
    requests: Sequence[Request], texts: Sequence[str | None], head: AnswerHead
) -> list[ScoringRequest]:
    """Return one request per text: every candidate's name is a continuation of the prompt and the text's thought."""
    pairs = zip(requests, texts, strict=True)
    return [ScoringRequest(*head.prefix_and_names(r.prompt, text, r.names, r.adapter), r.adapter) for r, text in pairs]


def score_candidates(
    answers: pl.DataFrame,
    records: pl.DataFrame,
    requests: Sequence[Request],
    head: AnswerHead,
    score: Score,
    *,
    shard_size: int,
    work: Path,
    on_shard: Callable[[int], None] = lambda _rows: None,
) -> pl.DataFrame:
    """Return the likelihoods table in the order of the records; shards already in `work` are read."""
    joined = records.select("record_id", "candidate_ids").join(
        answers, on="record_id", how="left", validate="1:1", maintain_order="left"
    )
    if joined["prompt_hash"].to_list() != [prompt_hash(request.prompt) for request in requests]:
        raise InputError("the answers were given to other prompts than these: run `dvc repro infer_vllm` first")

    def score_shard(part: slice) -> pl.DataFrame:
        return _score(joined[part], requests[part], head, score)

    return compute_in_shards(joined.height, shard_size, work, LIKELIHOODS, score_shard, on_shard)


def _score(joined: pl.DataFrame, requests: Sequence[Request], head: AnswerHead, score: Score) -> pl.DataFrame:
    """Score a shard; a record whose prompt no model could take keeps its error and has no likelihoods."""
    rows = list(zip(joined.iter_rows(named=True), requests, strict=True))
    answered = [(k, row, request) for k, (row, request) in enumerate(rows) if row["error"] is None]
    to_score = scoring_requests([request for _, _, request in answered], [row["text"] for _, row, _ in answered], head)
    values = score(to_score) if to_score else []
    results = {k: (request, row) for (k, _, _), request, row in zip(answered, to_score, values, strict=True)}
    return tables.from_rows([_row(row, results.get(k)) for k, (row, _) in enumerate(rows)], LIKELIHOODS)


def _row(row: Mapping[str, Any], result: tuple[ScoringRequest, np.ndarray] | None) -> dict[str, object]:
    return {
        "method": row["method"],
        "record_id": row["record_id"],
        "prompt_hash": row["prompt_hash"],
        "loglik": result[1].tolist() if result else None,
        "tokens": [len(name) for name in result[0].continuations] if result else None,
        "error": row["error"],
    }
