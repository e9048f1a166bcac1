"""The sides of bench/infer.py, each run in a process of its own: what it did, in how many seconds.

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

from bench.asked_records import PARAMS, THINKING, drawn, prompts
from kitrec.core import params
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.generation.params import Engine
from kitrec.llm.generation.requests import Request, ScoringRequest
from kitrec.llm.generation.vllm_engine import Sampling, VllmEngine
from kitrec.llm.likelihood import shared_prefix
from kitrec.llm.likelihood.shared_prefix import likelihoods
from kitrec.prompts.answer_head import AnswerHead
from kitrec.prompts.params import Prompt
from kitrec.prompts.styles import prompt_style
from kitrec.prompts.tokens import Encoder

WRITTEN = THINKING.max_new_tokens  # the most an answer may have; most end before


def engine_of(base: PinnedBase, adapters: dict[str, Path] | None = None, **changes: Any) -> VllmEngine:
    """The pipeline's engine with room for long lists."""
    p = replace(params.load(Engine, "engine", PARAMS), max_model_len=4096, **changes)
    return VllmEngine(base, p, adapters or {}, seed=1, quiet=True)


def asked(base: PinnedBase, count: int, *, hundred: bool = False, labels: bool = False) -> list[Request]:
    """Prompts of test records."""
    records, items = drawn(count, hundred=hundred)
    return prompts(records, items, Encoder(load_tokenizer(base)), labels=labels)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def by_engine(base: PinnedBase, count: int) -> dict[str, Any]:
    """The pipeline's way: one engine call for all."""
    requests, engine = asked(base, count), engine_of(base)
    engine.generate(requests[:2], _sampling())
    seconds, replies = timed(lambda: engine.generate(requests, _sampling()))
    return {"records": count, "seconds": seconds, "tokens": sum(reply.tokens for reply in replies)}


def by_generate(base: PinnedBase, count: int, batch: int) -> dict[str, Any]:
    """transformers' generate on `batch` prompts at a time."""
    requests, model = asked(base, count), _model(base)
    _generated(model, requests[:1])
    rows = [requests[start : start + batch] for start in range(0, count, batch)]
    seconds, written = timed(lambda: sum(_generated(model, row) for row in rows))
    return {"records": count, "seconds": seconds, "tokens": written, "batch": batch}


def adapters(base: PinnedBase, count: int, folders: Sequence[str]) -> dict[str, Any]:
    """The same records through one adapter, and dealt out to all of them; in turns, twice."""
    requests = asked(base, count)
    engine = engine_of(base, {Path(folder).name: Path(folder) for folder in folders})
    names = [Path(folder).name for folder in folders]
    one = [replace(request, adapter=names[0]) for request in requests]
    four = [replace(request, adapter=names[k % len(names)]) for k, request in enumerate(requests)]
    engine.generate(four[:8], _sampling())
    runs = [(timed(lambda: engine.generate(one, _sampling()))[0], timed(lambda: engine.generate(four, _sampling()))[0])]
    runs += [
        (timed(lambda: engine.generate(one, _sampling()))[0], timed(lambda: engine.generate(four, _sampling()))[0])
    ]
    return {"records": count, "one": min(a for a, _ in runs), "several": min(b for _, b in runs)}


def repeated(base: PinnedBase, count: int) -> dict[str, Any]:
    """Greedy texts twice from one engine; batch sizes are compared by the caller."""
    requests, engine = asked(base, count), engine_of(base, max_num_seqs=64)
    runs = [[r.text for r in engine.generate(requests, _sampling())] for _ in range(2)]
    return {"records": count, "equal": float(np.mean([a == b for a, b in zip(*runs, strict=True)])), "texts": runs[0]}


def small_batches(base: PinnedBase, count: int) -> dict[str, Any]:
    """The same texts from an engine that takes eight at a time."""
    engine = engine_of(base, max_num_seqs=8)
    return {"records": count, "texts": [r.text for r in engine.generate(asked(base, count), _sampling())]}


def by_tree(base: PinnedBase, count: int) -> dict[str, Any]:
    """All candidates by the tree, by labels, and the bare forwards over the same texts; in turns, three times."""
    model, found = _model(base), {}
    for name, labels in (("ids", False), ("labels", True)):
        questions = _questions(base, count, labels=labels)
        floor, scored = (partial(way, model, questions) for way in (_prefill, likelihoods))
        runs = [(timed(floor)[0], timed(scored)[0]) for _ in range(3)]
        found[name] = {"floor": [a for a, _ in runs], "scored": [b for _, b in runs]}
    return {"records": count, **found}


def separately(base: PinnedBase, count: int) -> dict[str, Any]:
    """Each candidate in a forward of its own, eight at a time, and the tree on the same records."""
    model, questions = _model(base), _questions(base, count)
    seconds, alone = timed(lambda: [_alone(model, question) for question in questions])
    tree, together = timed(lambda: likelihoods(model, questions))
    apart = max(float(np.abs(a - b).max()) for a, b in zip(alone, together, strict=True))
    return {"records": count, "seconds": seconds, "tree": tree, "apart": apart}


def engine_scores(base: PinnedBase, count: int) -> dict[str, Any]:
    """The engine's likelihoods with and without its cache, and its generation for the same records."""
    questions, engine = _questions(base, count), engine_of(base)
    engine.likelihoods(questions[:1])
    cached, _ = timed(lambda: engine.likelihoods(questions))
    pairs = [(question, name) for question in questions for name in question.continuations]
    uncached, _ = timed(lambda: engine._prompt_likelihoods(pairs, skip_cache=True))
    written, _ = timed(lambda: engine.generate(asked(base, count, hundred=True), _sampling()))
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
    records, items = drawn(count, hundred=True)
    encoder = Encoder(load_tokenizer(base))
    style = prompt_style(Prompt(max_length=4096, summaries=True, labels=labels), encoder, thinking=THINKING.thinking)
    head = AnswerHead(encoder, style)
    requests = prompts(records, items, encoder, labels=labels)
    return [
        ScoringRequest(*head.prefix_and_names(request.prompt, None, request.candidates), None) for request in requests
    ]


@torch.inference_mode()
def _prefill(model: Any, questions: Sequence[ScoringRequest]) -> None:
    """Nothing but the texts, in the batches the tree has."""
    for batch in shared_prefix._batches(questions):
        model.model(input_ids=shared_prefix._padded([np.asarray(questions[k].prefix) for k in batch], model.device))


@torch.inference_mode()
def _alone(model: Any, question: ScoringRequest) -> np.ndarray:
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
    """Run one and print what it found as the last line."""
    print(json.dumps(SIDES[name](base, *more)))
