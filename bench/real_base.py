"""Speed and memory of a real base on titles of real people.   python -m bench.real_base FOLDER

FOLDER is a checkout in which `make real` has run (SmolLM2, books-movies). Each side runs in a process of its own; those
whose speed counts take turns, ROUNDS times, and a ratio is the median of those of the rounds:

    training  a plain peft loop in bf16 (padded batches of four texts in random order, a mask, logits at every position)
              beside the title model's updates: the same texts, adapter and optimiser; tokens that are not padding; on
              texts as they are, and on texts joined to LONG tokens
    scoring   likelihoods of 20 titles behind a history with an adapter, beside the base's own forward pass over history
              and titles as one text
    weights   the same updates on NF4 and on bf16; loss of development users' texts, nats per learned token"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from bench.claims import Claim, at_least, at_most, publish
from bench.running import peak_above_now
from kitrec.core import params, tables
from kitrec.core.domains import Domains
from kitrec.core.errors import InputError
from kitrec.llm.base.layers import decoder_of
from kitrec.llm.base.loading import BaseWeights, load_base, load_tokenizer
from kitrec.llm.base.pinning import PinnedBase, read_pinned
from kitrec.llm.finetuning.lora import with_adapter
from kitrec.llm.likelihood import shared_prefix
from kitrec.llm.likelihood.shared_prefix import batches
from kitrec.llm.likelihood.trie import ScoringRequest
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.titles.lines import LearnedText, Lines, build_lines
from kitrec.titles.params import ADAPTER, Title, TitleMethod
from kitrec.titles.questions import Questions, build_questions
from kitrec.titles.samples import Passes, user_sequences
from kitrec.titles.title_model import TitleModel, new_title_model
from kitrec.titles.title_training import Gradients, add_gradients

COMMAND = "python -m bench.real_base FOLDER"
BATCH, SEED, LONG = 4, 1, 512  # texts of a forward pass of the plain loop
UPDATES = {"train": 4, "weights": 40}
ROUNDS = 3
RECORDS_SCORED, DEVELOPMENT_TEXTS = 48, 128


@dataclass(frozen=True)
class World:
    """What all sides share."""

    p: Title
    base: PinnedBase
    lines: Lines
    passes: Passes
    questions: Questions

    def model(self, weights: BaseWeights = "bf16") -> TitleModel:
        """Return the title model with a fresh adapter."""
        return new_title_model(replace(self.p, base_weights=weights), self.base, self.lines, SEED)

    def plain(self) -> Any:
        """Return the base with the same adapter, by the layers of transformers and PEFT."""
        return with_adapter(load_base(self.base, "bf16"), self.p.adapter, ADAPTER)

    def texts(self, updates: int, length: int | None) -> list[LearnedText]:
        """Return the texts of the first updates, or all of them joined and cut to a length."""
        samples = [self.passes.batch(number) for number in range(updates)]
        pairs = [pair for batch in samples for pair in zip(batch.histories, batch.items, strict=True)]
        texts = [self.lines.learned(history.tolist(), int(item)) for history, item in pairs]
        if length is None:
            return texts
        ids, learned = (np.concatenate([getattr(text, name) for text in texts]) for name in ("ids", "learned"))
        starts = range(0, len(ids) - length + 1, length)
        return [LearnedText(ids[at : at + length], learned[at : at + length]) for at in starts]

    def development_texts(self) -> list[LearnedText]:
        """Return the texts of development users, each with its held-out title."""
        pairs = zip(self.questions.histories, self.questions.candidates, self.questions.ground_truth, strict=True)
        chosen = [(history, numbers[truth]) for history, numbers, truth in pairs][:DEVELOPMENT_TEXTS]
        return [self.lines.learned(history.tolist(), int(item)) for history, item in chosen]


def main(folder: Path) -> None:
    """Run every side in its process and publish."""
    rounds = [{side: _in_a_process(side, folder) for side in TIMED} for _ in range(ROUNDS)]
    learned = {side: _in_a_process(side, folder) for side in SIDES if side not in TIMED}
    apart = abs(learned["nf4"]["development_loss"] - learned["bf16"]["development_loss"])
    claims = [claim for length in LENGTHS for claim in _training_claims(rounds, length)]
    longer, forward = _ratios(rounds, "shared prefix", "prefill", "seconds_a_record"), "a forward pass over both"
    claims += [
        at_most("likelihoods of 20 titles", median(longer), 1.5, "x", COMMAND, peer=forward, **_spread(longer)),
        at_most("development loss, NF4 from bf16", apart, 0.02, "nat", COMMAND, peer="LoRA on bf16"),
    ]
    rows = [{"side": side, **row} for sides in (*rounds, learned) for side, row in sides.items()]
    kinds = {"Training": "tokens_per_second", "Scoring": "seconds_a_record", "NF4 beside bf16": "development_loss"}
    publish("real_base", claims, {kind: [row for row in rows if key in row] for kind, key in kinds.items()})


def _training_claims(rounds: list[dict[str, dict[str, Any]]], length: str) -> list[Claim]:
    sides, peer = (f"updates, {length}", f"plain loop, {length}"), "plain peft loop, bf16"
    faster, smaller = _ratios(rounds, *sides, "tokens_per_second"), _ratios(rounds, *sides, "peak_mib")
    text = f"training, {length}"
    return [
        at_least(f"{text}: tokens per second", median(faster), 2, "x", COMMAND, peer=peer, **_spread(faster)),
        at_most(f"{text}: peak memory", median(smaller), 0.5, "x", COMMAND, peer=peer, **_spread(smaller)),
    ]


def _ratios(rounds: list[dict[str, dict[str, Any]]], side: str, other: str, key: str) -> list[float]:
    return [sides[side][key] / sides[other][key] for sides in rounds]


def _spread(ratios: list[float]) -> dict[str, Any]:
    return {"repeats": len(ratios), "spread": f"{min(ratios):.2f} to {max(ratios):.2f}"}


def _in_a_process(side: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.real_base", str(folder.resolve()), side]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    print(side, done.stdout.splitlines()[-1], flush=True)
    return json.loads(done.stdout.splitlines()[-1])


def plain_training(world: World, length: int | None) -> dict[str, Any]:
    """Train as most recipes do."""
    texts, llm = world.texts(UPDATES["train"], length), world.plain()
    optimizer = torch.optim.AdamW((w for w in llm.parameters() if w.requires_grad), lr=3e-4)
    order = np.random.default_rng(SEED).permutation(len(texts))
    llm.train()
    peak, began = peak_above_now(), time.perf_counter()
    for at in range(0, len(texts), BATCH):
        chosen = [texts[k] for k in order[at : at + BATCH]]
        width = max(map(len, chosen))
        ids, labels = torch.zeros(len(chosen), width, dtype=torch.long), torch.full((len(chosen), width), -100)
        for row, text in enumerate(chosen):
            ids[row, : len(text)] = torch.from_numpy(text.ids)
            labels[row, : len(text)] = torch.where(torch.from_numpy(text.learned), ids[row, : len(text)], -100)
        mask = torch.arange(width) < torch.tensor([len(text) for text in chosen])[:, None]
        llm(input_ids=ids, attention_mask=mask.long(), labels=labels).loss.backward()
        if (at // BATCH) % (TEXTS // BATCH) == TEXTS // BATCH - 1:
            optimizer.step()
            optimizer.zero_grad()
    return _pace(texts, began, peak)


def title_training(world: World, length: int | None) -> dict[str, Any]:
    """Train by the title model's updates."""
    texts, model = world.texts(UPDATES["train"], length), world.model()
    model.train()
    optimizer = torch.optim.AdamW(model.adapter().values(), lr=3e-4)
    peak, began = peak_above_now(), time.perf_counter()
    for at in range(0, len(texts), TEXTS):
        add_gradients(model, texts[at : at + TEXTS])
        optimizer.step()
        optimizer.zero_grad()
    return _pace(texts, began, peak)


def trained_on(weights: BaseWeights) -> Callable[[World], dict[str, Any]]:
    """Return the side that trains on the base in these weights."""

    def side(world: World) -> dict[str, Any]:
        model = world.model(weights)
        model.train()
        optimizer = torch.optim.AdamW(model.adapter().values(), lr=3e-4)
        torch.manual_seed(SEED)
        began = time.perf_counter()
        before = _development_loss(model, world)
        _update(model, world.passes, optimizer, UPDATES["weights"])
        after = _development_loss(model, world)
        seconds = round(time.perf_counter() - began, 1)
        return {"development_loss": after, "loss_before": before, "updates": UPDATES["weights"], "seconds": seconds}

    return side


def prefill(world: World) -> dict[str, Any]:
    """Read history and titles as one text, without a head."""
    requests = _requests(world)
    llm, rows = load_base(world.base, "bf16").eval(), [[*r.prefix, *chain(*r.continuations)] for r in requests]
    with torch.inference_mode():
        decoder_of(llm)(input_ids=torch.tensor([rows[0]]))
        began = time.perf_counter()
        for part in batches([len(row) for row in rows], 16_384):
            width = max(len(rows[k]) for k in part)
            ids = torch.tensor([rows[k] + [0] * (width - len(rows[k])) for k in part])
            decoder_of(llm)(input_ids=ids, use_cache=False)
    return {"seconds_a_record": round((time.perf_counter() - began) / len(rows), 4), "records": len(rows)}


def shared_prefix_side(world: World) -> dict[str, Any]:
    """Compute the likelihood of each title behind its history."""
    requests = _requests(world)
    llm = world.model().llm.eval()
    lengths = [len(r.prefix) + sum(map(len, r.continuations)) for r in requests]
    shared_prefix.likelihoods(llm, requests[:1])
    began = time.perf_counter()
    for part in batches(lengths, 16_384):
        shared_prefix.likelihoods(llm, [requests[k] for k in part])
    return {"seconds_a_record": round((time.perf_counter() - began) / len(requests), 4), "records": len(requests)}


TEXTS = 16  # of an update
LENGTHS = {"texts as they are": None, f"texts of {LONG} tokens": LONG}
TIMED: dict[str, Callable[[World], dict[str, Any]]] = {
    **{f"plain loop, {name}": partial(plain_training, length=length) for name, length in LENGTHS.items()},
    **{f"updates, {name}": partial(title_training, length=length) for name, length in LENGTHS.items()},
    "prefill": prefill,
    "shared prefix": shared_prefix_side,
}
SIDES = TIMED | {
    "bf16": trained_on("bf16"),
    "nf4": trained_on("nf4"),
}


def _update(model: TitleModel, passes: Passes, optimizer: torch.optim.Optimizer, updates: int) -> None:
    gradients = Gradients(model, passes)
    for number in range(updates):
        gradients(number)
        optimizer.step()
        optimizer.zero_grad()


@torch.no_grad()
def _development_loss(model: TitleModel, world: World) -> float:
    model.train(False)
    texts = world.development_texts()
    total = sum(model.loss([texts[k] for k in part]).item() for part in batches([len(t) for t in texts], 4096))
    model.train(True)
    return round(total / sum(int(text.learned.sum()) for text in texts), 4)


def _pace(texts: list[LearnedText], began: float, peak: Callable[[], int]) -> dict[str, Any]:
    seconds, tokens = time.perf_counter() - began, sum(map(len, texts))
    return {"tokens_per_second": round(tokens / seconds, 1), "tokens": tokens, "peak_mib": peak()}


def _requests(world: World) -> list[ScoringRequest]:
    lines, rows = world.lines, zip(world.questions.histories, world.questions.candidates, strict=True)
    return [
        ScoringRequest(lines.question(h.tolist(), int(c[0])), [lines.title(int(k)) for k in c], None) for h, c in rows
    ][:RECORDS_SCORED]


def _world() -> World:
    """Read the data of the working folder."""
    seed, domains, items = (
        params.load(int, "seed"),
        params.load(Domains, "domains"),
        tables.read(Path("data/items.parquet"), ITEMS),
    )
    p: Title = params.load(TitleMethod, "titles.methods.title")  # type: ignore[arg-type]  # a union
    base = read_pinned()
    lines = build_lines(items, load_tokenizer(base), p.history.title_tokens, domains)
    vocabulary = lines.catalogue.vocabulary
    train, development = (
        tables.read(Path(f"data/interactions/{role}.parquet"), SPLIT_INTERACTIONS) for role in ("train", "development")
    )
    records = tables.read(Path("data/records/setA/development.parquet"), RECORDS, leave_out=TEXT_COLUMNS)
    sequences = user_sequences(train, vocabulary)
    passes = Passes(sequences, lines.catalogue.is_target, p.history, p.training.batch_size, seed, ("title samples",))
    return World(p, base, lines, passes, build_questions(records, development, vocabulary, p.history.items))


if __name__ == "__main__":
    try:
        if len(sys.argv) == 3:
            os.chdir(sys.argv[1])
            print(json.dumps(SIDES[sys.argv[2]](_world())))
        elif len(sys.argv) == 2:
            main(Path(sys.argv[1]))
        else:
            raise InputError("give the folder of a checkout in which `make real` has run")
    except InputError as problem:
        sys.exit(f"error: {problem}")
