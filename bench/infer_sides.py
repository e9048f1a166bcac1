"""The sides of bench/infer.py, each run in its own process: work done and seconds spent.

Peers: transformers' `generate`, one prompt at a time or in batches padded on the left; a bare forward over the prompts;
100 separate forwards; the engine without its cache."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from bench.world_records import PARAMS, THINKING, draw_records, requests_for_base
from kitrec.core import params
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.generation.params import Engine
from kitrec.llm.generation.requests import Request
from kitrec.llm.generation.vllm_engine import Sampling, VllmEngine
from kitrec.llm.likelihood import shared_prefix
from kitrec.llm.likelihood.shared_prefix import likelihoods
from kitrec.llm.likelihood.trie import ScoringRequest
from kitrec.prompts.answer_head import AnswerHead
from kitrec.prompts.params import Prompt
from kitrec.prompts.styles import prompt_style
from kitrec.prompts.tokens import Encoder

WRITTEN = THINKING.max_new_tokens  # upper limit of an answer; most are shorter


def engine_of(base: PinnedBase, adapters: dict[str, Path] | None = None, **changes: Any) -> VllmEngine:
    """Return the pipeline's engine with room for long lists."""
    p = replace(params.load(Engine, "engine", PARAMS), max_model_len=4096, **changes)
    return VllmEngine(base, p, adapters or {}, seed=1, quiet=True)


def requests_of(base: PinnedBase, count: int, *, hundred: bool = False, labels: bool = False) -> list[Request]:
    """Return requests of test records."""
    records, items = draw_records(count, hundred=hundred)
    return requests_for_base(records, items, Encoder(load_tokenizer(base)), labels=labels)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds of `work` and its result."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def by_engine(base: PinnedBase, count: int) -> dict[str, Any]:
    """Generate as the pipeline does: one engine call for all."""
    requests, engine = requests_of(base, count), engine_of(base)
    engine.generate(requests[:2], _sampling())
    seconds, replies = timed(lambda: engine.generate(requests, _sampling()))
    return {"records": count, "seconds": seconds, "tokens": sum(reply.tokens for reply in replies)}


def by_generate(base: PinnedBase, count: int, batch: int) -> dict[str, Any]:
    """Generate with transformers, `batch` prompts at a time."""
    requests, model = requests_of(base, count), _model(base)
    _generated(model, requests[:1])
    rows = [requests[start : start + batch] for start in range(0, count, batch)]
    seconds, written = timed(lambda: sum(_generated(model, row) for row in rows))
    return {"records": count, "seconds": seconds, "tokens": written, "batch": batch}


def adapters(base: PinnedBase, count: int, folders: Sequence[str]) -> dict[str, Any]:
    """Generate the same records with one adapter, and interleaved over all of them; in turns, twice."""
    requests = requests_of(base, count)
    engine = engine_of(base, {Path(folder).name: Path(folder) for folder in folders})
    names = [Path(folder).name for folder in folders]
    single = [replace(request, adapter=names[0]) for request in requests]
    four = [replace(request, adapter=names[k % len(names)]) for k, request in enumerate(requests)]
    engine.generate(four[:8], _sampling())
    runs = [
        (timed(lambda: engine.generate(single, _sampling()))[0], timed(lambda: engine.generate(four, _sampling()))[0])
    ]
    runs += [
        (timed(lambda: engine.generate(single, _sampling()))[0], timed(lambda: engine.generate(four, _sampling()))[0])
    ]
    return {"records": count, "one": min(a for a, _ in runs), "several": min(b for _, b in runs)}


def repeated(base: PinnedBase, count: int) -> dict[str, Any]:
    """Generate greedy texts twice with one engine; the caller compares batch sizes."""
    requests, engine = requests_of(base, count), engine_of(base, max_num_seqs=64)
    runs = [[r.text for r in engine.generate(requests, _sampling())] for _ in range(2)]
    return {"records": count, "equal": float(np.mean([a == b for a, b in zip(*runs, strict=True)])), "texts": runs[0]}


def small_batches(base: PinnedBase, count: int) -> dict[str, Any]:
    """The same texts from an engine that takes eight at a time."""
    engine = engine_of(base, max_num_seqs=8)
    return {"records": count, "texts": [r.text for r in engine.generate(requests_of(base, count), _sampling())]}


def by_tree(base: PinnedBase, count: int) -> dict[str, Any]:
    """Score all candidates by the tree, by labels, and run bare forwards over the texts; in turns, three times."""
    model, seconds = _model(base), {}
    for name, labels in (("ids", False), ("labels", True)):
        questions = _questions(base, count, labels=labels)
        floor, scored = (partial(way, model, questions) for way in (_prefill, likelihoods))
        runs = [(timed(floor)[0], timed(scored)[0]) for _ in range(3)]
        seconds[name] = {"floor": [a for a, _ in runs], "scored": [b for _, b in runs]}
    return {"records": count, **seconds}


def separately(base: PinnedBase, count: int) -> dict[str, Any]:
    """Score each candidate in its own forward, eight at a time, and the same records by the tree."""
    model, questions = _model(base), _questions(base, count)
    seconds, separate = timed(lambda: [_separate(model, question) for question in questions])
    tree, together = timed(lambda: likelihoods(model, questions))
    apart = max(float(np.abs(a - b).max()) for a, b in zip(separate, together, strict=True))
    return {"records": count, "seconds": seconds, "tree": tree, "apart": apart}


def engine_scores(base: PinnedBase, count: int) -> dict[str, Any]:
    """Score by the engine together and one candidate at a time, and generate for the same records."""
    questions, engine = _questions(base, count), engine_of(base)
    engine.likelihoods(questions[:1])
    cached, _ = timed(lambda: engine.likelihoods(questions))
    single = [replace(question, continuations=[name]) for question in questions for name in question.continuations]
    uncached, _ = timed(lambda: engine.likelihoods(single))
    written, _ = timed(lambda: engine.generate(requests_of(base, count, hundred=True), _sampling()))
    return {"records": count, "cached": cached, "uncached": uncached, "written": written}


def _sampling() -> Sampling:
    return Sampling(WRITTEN, 0.0, 1.0, 0, 1)


def _model(base: PinnedBase) -> Any:
    return AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.bfloat16).eval()


def _generated(model: Any, requests: Sequence[Request]) -> int:
    longest = max(len(r.prompt) for r in requests)
    ids = torch.tensor([[0] * (longest - len(r.prompt)) + r.prompt for r in requests])
    mask = torch.tensor([[0] * (longest - len(r.prompt)) + [1] * len(r.prompt) for r in requests])
    out = model.generate(ids, attention_mask=mask, max_new_tokens=WRITTEN, do_sample=False, pad_token_id=0)
    return int((out[:, longest:] != 0).sum())


def _questions(base: PinnedBase, count: int, *, labels: bool = False) -> list[ScoringRequest]:
    records, items = draw_records(count, hundred=True)
    encoder = Encoder(load_tokenizer(base))
    style = prompt_style(
        Prompt(max_length=4096, text="rendered", summaries=True, labels=labels, answer_begins_with="id"),
        encoder,
        thinking=THINKING.thinking,
    )
    head = AnswerHead(encoder, style)
    requests = requests_for_base(records, items, encoder, labels=labels)
    return [ScoringRequest(*head.prefix_and_names(request.prompt, None, request.names), None) for request in requests]


@torch.inference_mode()
def _prefill(model: Any, questions: Sequence[ScoringRequest]) -> None:
    """Run bare forwards over the texts in the tree's batches."""
    for batch in shared_prefix.batches([len(q.prefix) for q in questions], shared_prefix.BATCH_TOKENS):
        model.model(input_ids=shared_prefix._padded([np.asarray(questions[k].prefix) for k in batch], model.device))


@torch.inference_mode()
def _separate(model: Any, question: ScoringRequest) -> np.ndarray:
    values = []
    for start in range(0, len(question.continuations), 8):
        names = question.continuations[start : start + 8]
        rows = [np.asarray(question.prefix + name) for name in names]
        hidden = model.model(input_ids=shared_prefix._padded(rows, model.device)).last_hidden_state
        for row, name in enumerate(names):
            read = hidden[row, len(question.prefix) - 1 : len(question.prefix) + len(name) - 1]
            at = model.lm_head(read).float().log_softmax(-1)
            values.append(at.gather(1, torch.tensor(name)[:, None]).sum().item())
    return np.array(values)


SIDES = {
    side.__name__: side
    for side in (by_engine, by_generate, adapters, repeated, small_batches, by_tree, separately, engine_scores)
}


def run_side(name: str, base: PinnedBase, *more: Any) -> None:
    """Run one side and print its result as the last line."""
    print(json.dumps(SIDES[name](base, *more)))
