"""Speed and memory of the training step against the plain Trainer recipe of bench/plain_trainer.py.   make bench-train

Same base, samples, effective batch and number of updates, each in its own process, in turns. The base is
small, with the vocabulary of Qwen3 (151,936 words); samples have the lengths of KitREC's records under the 4,096-token
fallback: at 8,192 the peer's logits would not fit this machine."""

import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from bench.claims import at_least, at_most, publish
from bench.plain_trainer import fine_tune_plainly
from bench.running import peak_above_now
from kitrec.llm.base.loading import load_quantised
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.finetuning.dataset import Sample
from kitrec.llm.finetuning.length_buckets import LengthBuckets
from kitrec.llm.finetuning.params import FineTune, Launch
from kitrec.llm.finetuning.trainer import FineTuningJob, fine_tune

COMMAND = "make bench-train"
VOCABULARY = 151_936
SAMPLES, REPEATS, SEED = 16, 2, 1
LONGEST = 4096
P = FineTune(
    lora_rank=32, lora_alpha=64, lora_dropout=0.08, learning_rate=2e-4, epochs=1, batch_size=2,
    gradient_accumulation_steps=2, eval_batch_size=1, warmup_ratio=0.05, weight_decay=0.02, label_smoothing=0.05,
    neftune_alpha=5.0, max_grad_norm=1.0,
    optimizer="adamw_torch_fused", gradient_checkpointing=True, logging_steps=1, eval_steps=4, save_steps=4,
    save_total_limit=2, early_stopping_patience=3, early_stopping_threshold=0.0,
)  # fmt: skip
SINGLE_PROCESS = Launch(processes=1, sharding="none", base_weights="nf4", dataloader_num_workers=0, trackers=[])


def main() -> None:
    """Train with both, each in its own process, and publish."""
    with tempfile.TemporaryDirectory() as folder:
        _small_base().save_pretrained(folder)
        sides: dict[str, list[dict[str, Any]]] = {"kitrec": [], "plain": []}
        for _ in range(REPEATS):
            for side, runs in sides.items():
                runs.append(_in_a_process(side, folder))
                print(side, {key: value for key, value in runs[-1].items() if key != "losses"}, flush=True)
    ours, plain = sides["kitrec"], sides["plain"]
    faster = [a["samples_per_second"] / b["samples_per_second"] for a, b in zip(ours, plain, strict=True)]
    smaller = [a["peak_mib"] / b["peak_mib"] for a, b in zip(ours, plain, strict=True)]
    apart = abs(mean(ours[0]["losses"]) - mean(plain[0]["losses"]))
    lengths = [len(sample) for sample in _samples(10_800, SEED)]
    peer = "plain Trainer recipe"
    claims = [
        at_least("samples per second", median(faster), 3, "x", COMMAND, peer=peer, **_spread(faster)),
        at_most("peak memory above the base", median(smaller), 1 / 3, "x", COMMAND, peer=peer, **_spread(smaller)),
        at_most("mean training loss, distance", apart, 0.05, "nat", COMMAND, peer=peer),
        at_most("padding among 10,800 samples", LengthBuckets(lengths, 4, SEED).padding_share(1), 0.03, "", COMMAND),
    ]
    rows = [{"side": side, **{k: v for k, v in run.items() if k != "losses"}} for side in sides for run in sides[side]]
    curves = [
        {"update": k + 1, **{side: runs[0]["losses"][k] for side, runs in sides.items()}}
        for k in range(len(ours[0]["losses"]))
    ]
    publish("train", claims, {"Runs": rows, "Training loss": curves})


def _spread(ratios: list[float]) -> dict[str, Any]:
    return {"repeats": len(ratios), "spread": f"{min(ratios):.2f} to {max(ratios):.2f}"}


def _in_a_process(side: str, folder: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.train", side, folder]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def train_side(side: str, folder: Path) -> None:
    """Train with one side and print its cost."""
    base = PinnedBase(path=str(folder), revision=None, fingerprint="bench")
    train, development = _samples(SAMPLES, SEED), _samples(4, SEED + 1)
    with tempfile.TemporaryDirectory() as work:
        load_quantised(base)  # libraries allocate once; that is not the step's memory
        peak = peak_above_now()
        if side == "plain":
            log, pace = fine_tune_plainly(base, train, development, P, SEED, Path(work))
            seconds = pace.seconds
        else:
            load = partial(load_quantised, base)
            job = FineTuningJob("bench", load, 0, train, development, SEED, Path(work), Path(work), quiet=True)
            trained = fine_tune(job, P, SINGLE_PROCESS)
            log, seconds = trained.log, trained.seconds
        losses = [entry["loss"] for entry in log if "loss" in entry]
        rate = round(SAMPLES / seconds, 4)
        print(json.dumps({"samples_per_second": rate, "peak_mib": peak(), "losses": losses}))


def _small_base() -> Qwen3ForCausalLM:
    torch.manual_seed(SEED)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        dtype="bfloat16",
    )
    return Qwen3ForCausalLM(config).bfloat16()


def _samples(count: int, seed: int) -> list[Sample]:
    """Return prompts of about 2,600 tokens and answers of about 400, from a few hundred recurring words."""
    rng = np.random.default_rng(seed)
    lengths = np.minimum(rng.lognormal(np.log(2600), 0.22, count), LONGEST - 512).astype(int)
    answers = rng.integers(300, 512, count)
    weights = 1 / np.arange(1, 401)
    words = np.random.default_rng(0).integers(0, VOCABULARY, 400)

    def drawn(n: int) -> np.ndarray:
        return rng.choice(words, n, p=weights / weights.sum()).astype(np.int32)

    return [Sample(str(k), drawn(lengths[k] + answers[k]), int(lengths[k])) for k in range(count)]


if __name__ == "__main__":
    if len(sys.argv) == 3:
        train_side(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
