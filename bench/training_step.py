"""Processor time of a training step of the default run: PEFT's layers and ours.   make bench-training-step   (minutes)

Both sides learn the same batches of the default run's first adapter with the same optimizer on one thread, step by step
in turn, in one process; what is timed is the process's own processor time, which another process on the machine hardly
changes. The operations of a step are those of torch's profiler. Needs the records of `dvc repro prepare pin_base`."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from bench.claims import at_least, at_most, publish
from bench.running import start
from kitrec.core import params, tables
from kitrec.core.domains import Domains
from kitrec.llm.base.loading import load_for_training, load_tokenizer
from kitrec.llm.base.pinning import PinnedBase, read_pinned
from kitrec.llm.base.precision import computes_in_bf16
from kitrec.llm.finetuning.arguments import with_lora
from kitrec.llm.finetuning.dataset import IGNORE_INDEX, Sample, collate, tokenize_records
from kitrec.llm.finetuning.frozen_head_loss import replace_forward_by_loss
from kitrec.llm.finetuning.length_buckets import LengthBuckets
from kitrec.llm.finetuning.light_lora import use_light_layers
from kitrec.llm.finetuning.params import FineTune
from kitrec.preprocessing.params import Data
from kitrec.prompts.params import Prompt
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.items import ITEMS
from kitrec.schemas.records import RECORDS
from stages.lib import paths

COMMAND = "make bench-training-step"
STEPS, PROFILED, SEED = 54, 4, 1
SIDES: dict[str, Callable[[Any], None]] = {"peft": lambda _: None, "kitrec": use_light_layers}
KINDS = {  # the whole name of an operation, or a part of it that begins with a dot
    "matrix products": ("mm", "addmm", "addmm_", "bmm", "baddbmm_", ".gemm_4bit"),
    "torch's attention": (".flash_attention",),
    "softmax": (".softmax",),
    "random numbers": (".bernoulli", ".random_", ".uniform_"),
    "copies and casts": ("copy_",),
    "dequantisation": (".dequantize",),
}
Batch = dict[str, Any]


def main() -> None:
    """Train both sides step by step, profile a few more steps, and publish."""
    torch.set_num_threads(1)
    base, p = read_pinned(), params.load(FineTune, "dualft")
    samples, pad = _samples(base)
    batches = _batches(samples, pad, p.batch_size)
    sides = {side: _Side(base, p, prepare) for side, prepare in SIDES.items()}
    seconds, losses = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for _ in range(STEPS):
        batch = next(batches)
        for name, side in sides.items():
            began = time.process_time()
            losses[name].append(side.step(batch))
            seconds[name].append(time.process_time() - began)
    ratios = [a / b for a, b in zip(seconds["peft"][2:], seconds["kitrec"][2:], strict=True)]
    apart = abs(mean(losses["peft"]) - mean(losses["kitrec"]))
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    repeats: dict[str, Any] = {"peer": "PEFT", "repeats": len(ratios), "spread": spread}
    claims = [
        at_least("processor time of a step", median(ratios), 1.5, "x", COMMAND, **repeats),
        at_most(f"mean loss of the first {STEPS} steps, distance", apart, 0.02, "nat", COMMAND, peer="PEFT"),
    ]
    profiled = [next(batches) for _ in range(PROFILED)]
    rows = [
        {"side": name, "ms a step": round(1e3 * median(seconds[name])), **_kinds(side, profiled)}
        for name, side in sides.items()
    ]
    curves = [
        {"steps": f"{k + 1}-{k + 9}", **{name: round(mean(losses[name][k : k + 9]), 4) for name in sides}}
        for k in range(0, STEPS, 9)
    ]
    publish("training_step", claims, {"Operations, in per cent of a step": rows, "Training loss": curves})


class _Side:
    """A base with an adapter and its optimizer; `prepare` replaces layers or not."""

    def __init__(self, base: PinnedBase, p: FineTune, prepare: Callable[[Any], None]) -> None:
        torch.manual_seed(SEED)
        model = load_for_training(base, "nf4", sharded=False)
        replace_forward_by_loss(model, smoothing=p.label_smoothing, neftune_alpha=p.neftune_alpha)
        self._model = with_lora(model, p).train()
        prepare(self._model)
        self._weights = [weight for weight in self._model.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.AdamW(self._weights, lr=p.learning_rate, fused=True)
        self._max_norm = p.max_grad_norm

    def step(self, batch: Batch) -> float:
        """Return the loss per supervised token, and learn."""
        with torch.autocast("cpu", torch.bfloat16, enabled=computes_in_bf16()):
            loss = self._model(**batch) / (batch["labels"] != IGNORE_INDEX).sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._weights, self._max_norm)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return float(loss.detach())


def _samples(base: PinnedBase) -> tuple[list[Sample], int]:
    """Return the training samples of the first DualFT adapter and the id of padding."""
    domains, prompt = params.load(Domains, "domains"), params.load(Prompt, "prompt")
    which, encoder = params.value(Data, "data.candidate_set"), Encoder(load_tokenizer(base))
    items = {row["item_id"]: row for row in tables.read(paths.ITEMS, ITEMS).iter_rows(named=True)}
    path: Path = paths.model_records(which, f"dualft-{domains.targets[0]}", "train")
    records = tables.read(path, RECORDS)
    dataset = tokenize_records(records, items, encoder, prompt, thinking=True, seed=SEED, domains=domains)
    return dataset.samples, encoder.pad


def _batches(samples: list[Sample], pad: int, size: int) -> Iterator[Batch]:
    order = LengthBuckets([len(sample) for sample in samples], size, SEED)
    for epoch in range(STEPS):
        indices = order.order(epoch)
        for first in range(0, len(indices), size):
            batch = collate([samples[k] for k in indices[first : first + size]], pad)
            yield {name: value for name, value in batch.items() if name != "record_ids"}


def _kinds(side: _Side, batches: list[Batch]) -> dict[str, int]:
    """Return the share of each kind of operation in the steps' time, in per cent."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for batch in batches:
            side.step(batch)
    spent: dict[str, float] = defaultdict(float)
    for row in profiled.key_averages():
        spent[_kind(row.key.rpartition("::")[2])] += row.self_cpu_time_total
    total = sum(spent.values())
    return {kind: round(100 * spent[kind] / total) for kind in [*KINDS, "all others"]}


def _kind(operation: str) -> str:
    for kind, names in KINDS.items():
        if any(name[1:] in operation if name[0] == "." else name == operation for name in names):
            return kind
    return "all others"


if __name__ == "__main__":
    start(main, __doc__)
