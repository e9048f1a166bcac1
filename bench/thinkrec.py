"""Speed of scoring 100 candidates of a user by P(Yes).   python -m bench.thinkrec

The same prompts (titles and vectors, the tiny base in 32 bits with an adapter, random users and films), one thread, in
turns, in processor seconds, which other work on the machine disturbs least: kitrec reads the shared part of a user's
prompts once; the peer is plain transformers, a forward per candidate. Both must agree."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from bench.claims import at_least, at_most, publish
from bench.thinkrec_settings import BASE, PROJECTOR_STAGE, TEXT_STAGE, VECTORS
from kitrec.core.randomness import generator
from kitrec.llm.base.loading import load_for_serving, load_tokenizer
from kitrec.llm.base.pinning import pin
from kitrec.llm.finetuning.lora import with_adapter
from kitrec.prompts.tokens import Encoder
from kitrec.thinkrec.model import ThinkModel
from kitrec.thinkrec.projector import Projector
from kitrec.thinkrec.prompt_composer import ComposedPrompt, PromptComposer
from kitrec.thinkrec.records import Record
from kitrec.thinkrec.samples import verdict_tokens
from kitrec.thinkrec.shared_prefix import YesNoLogits, yes_no_logits, yes_no_logits_one_by_one
from kitrec.thinkrec.vector_shards import Vectors

COMMAND, PEER = "python -m bench.thinkrec", "a transformers forward per candidate"
USERS, CANDIDATES, HISTORY, FILMS, WIDTH = 3, 100, 50, 400, 64
WORDS = "Silent Copper River Night Golden Winter Station Garden Letter Island Mirror Harvest Shadow Paper".split()


def main() -> None:
    """Measure both sides in turns."""
    torch.set_num_threads(1)
    model, lists = _model(), _prompts()
    (
        yes_no_logits(model, [lists[0][:3]]),
        yes_no_logits_one_by_one(model, lists[0][:3]),
    )  # warm-up of the process
    rows = []
    for prompts in lists:
        ours, shared = _timed(lambda rows=prompts: yes_no_logits(model, [rows])[0])  # type: ignore[misc]
        theirs, separate = _timed(lambda rows=prompts: yes_no_logits_one_by_one(model, rows))  # type: ignore[misc]
        gap = float(np.abs(shared.log_yes - separate.log_yes).max())
        rows.append({"ours": ours, "theirs": theirs, "ratio": theirs / ours, "gap": gap, "tokens": _tokens(prompts)})
    ratios = [row["ratio"] for row in rows]
    spread = f"{min(ratios):.1f} to {max(ratios):.1f}"
    about: dict[str, Any] = {"peer": PEER, "repeats": len(rows), "spread": spread}
    claims = [
        at_least(
            "P(Yes) of 100 candidates, per second of the processor", float(np.mean(ratios)), 10, "x", COMMAND, **about
        ),
        at_most("largest gap of log P(Yes)", max(row["gap"] for row in rows), 1e-3, "", COMMAND, repeats=len(rows)),
    ]
    settings = [{"history": HISTORY, "threads": torch.get_num_threads()}]
    users = [{key: round(value, 5) for key, value in row.items()} for row in rows]
    publish("thinkrec", claims, {"users": users, "settings": settings})


def _timed(work: Callable[[], YesNoLogits]) -> tuple[float, YesNoLogits]:
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def _model() -> ThinkModel:
    base = pin(BASE)
    torch.manual_seed(0)
    llm = with_adapter(load_for_serving(base, "float32"), TEXT_STAGE.adapter, "general")
    projector = Projector(WIDTH, llm.config.hidden_size, PROJECTOR_STAGE.expansion)
    return ThinkModel(llm.eval(), projector.eval(), verdict_tokens(Encoder(load_tokenizer(base))))


def _prompts() -> list[list[ComposedPrompt]]:
    """Return prompts as [user][candidate]."""
    rng = generator(0, "films")
    titles = [" ".join(rng.choice(WORDS, 3)) for _ in range(FILMS)]
    names = [f"f{k}" for k in range(FILMS)]
    vectors = [Vectors(ids, rng.normal(size=(len(ids), WIDTH)).astype(np.float32)) for ids in (["u"], names)]
    composer = PromptComposer([VECTORS], Encoder(load_tokenizer(pin(BASE))), HISTORY, *vectors)
    prompts = []
    for _ in range(USERS):
        drawn = rng.permutation(FILMS)
        past = drawn[:HISTORY]
        history, shown = tuple(names[k] for k in past), tuple(titles[k] for k in past)
        candidates = drawn[HISTORY : HISTORY + CANDIDATES]
        prompts.append([composer.compose(Record("u", history, shown, names[k], titles[k], 0)) for k in candidates])
    return prompts


def _tokens(prompts: list[ComposedPrompt]) -> float:
    return float(np.mean([len(prompt) for prompt in prompts]))


if __name__ == "__main__":
    main()
