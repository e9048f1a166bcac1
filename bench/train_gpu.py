"""Cost of fine-tuning Qwen3-14B on this GPU: its real shape with random weights, on disk as a base would be.

make bench-train-gpu [LAYERS=40]   (about ten minutes, 30 GB of disk; fewer layers only to try the command)

The code is the stage's own: NF4 loading, LoRA of rank 32 on all projections, checkpointing, supervised logits.
Model FLOPs per token (Chowdhery et al. 2022, appendix B, without recomputation; the frozen base needs no weight
gradients, so its backward pass costs what its forward pass does):
    4 N + 12 L (T / 2) width,    N weights that multiply, L layers, T tokens, of which attention sees half on average"""

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from bench.claims import at_least, at_most, publish
from kitrec.llm.base.loading import load_quantised
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.finetuning.dataset import Sample
from kitrec.llm.finetuning.params import FineTune, Launch
from kitrec.llm.finetuning.trainer import FineTuningJob, fine_tune

COMMAND = "make bench-train-gpu"
REFERENCE_TOKENS = 162_000_000
ANSWER = 450
PEAK_TFLOPS = {"H100": 989, "H200": 989, "A100": 312, "L40S": 362}  # dense bf16, from NVIDIA's data sheets
SINGLE_PROCESS = Launch(processes=1, sharding="none", base_weights="nf4", dataloader_num_workers=0, trackers=[])


def main(layers: int = 40) -> None:
    """Measure 5,120 and 8,192 tokens."""
    if not torch.cuda.is_available():
        sys.exit("error: there is no GPU here; `make bench-train` measures the training step on a CPU")
    with tempfile.TemporaryDirectory() as folder:
        config = qwen3_14b(layers)
        with torch.device("cuda"):
            Qwen3ForCausalLM(config).bfloat16().save_pretrained(folder)
        torch.cuda.empty_cache()
        rows = [_measured(Path(folder), config, length) for length in (5120, 8192)]
    whole, name = layers == 40, torch.cuda.get_device_name()
    note = "" if whole else f" ({layers} of 40 layers)"
    hours = REFERENCE_TOKENS / rows[0]["tokens_per_second"] / 3600
    claims = [
        at_least(f"tokens per second, 5,120 tokens, {name}{note}", rows[0]["tokens_per_second"], 4000, "", COMMAND),
        at_most("peak device memory, 8,192 tokens", rows[1]["peak_gb"], 30, "GB", COMMAND),
        at_most("reference run, 162 M tokens", hours, 11.5, "h", COMMAND, peer="reference run, about 40 h"),
    ]
    publish("train_gpu", claims, {f"Qwen3-14B's shape on {name}": rows})


def _measured(folder: Path, config: Qwen3Config, length: int) -> dict[str, Any]:
    base = PinnedBase(path=str(folder), revision=None, fingerprint="bench")
    rng = np.random.default_rng(1)
    samples = [
        Sample(str(k), rng.integers(0, config.vocab_size, length, dtype=np.int32), length - ANSWER) for k in range(48)
    ]
    p = FineTune(
        lora_rank=32, lora_alpha=64, lora_dropout=0.08, learning_rate=2e-4, epochs=1, batch_size=4,
        gradient_accumulation_steps=4, eval_batch_size=1, warmup_ratio=0.05, weight_decay=0.02, label_smoothing=0.05,
        neftune_alpha=5.0, max_grad_norm=1.0, optimizer="adamw_torch_fused",
        gradient_checkpointing=True, logging_steps=1, eval_steps=3,
        save_steps=3, save_total_limit=2, early_stopping_patience=3, early_stopping_threshold=0.0,
    )  # fmt: skip
    torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as work:
        load = partial(load_quantised, base)
        job = FineTuningJob("bench", load, 0, samples, samples[:1], 1, Path(work), Path(work), quiet=True)
        trained = fine_tune(job, p, SINGLE_PROCESS)
    speed = trained.throughput["tokens_per_second"]
    name = torch.cuda.get_device_name()
    peak = next((tflops for card, tflops in PEAK_TFLOPS.items() if card in name), None)
    return {
        "tokens": length,
        "batch": trained.batch_size,
        "tokens_per_second": speed,
        "peak_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2),
        "model_tflops": round(speed * flops_per_token(config, length) / 1e12, 1),
        "utilisation": round(speed * flops_per_token(config, length) / 1e12 / peak, 3) if peak else "unknown peak",
    }


def flops_per_token(config: Qwen3Config, length: int) -> float:
    """Return the FLOPs of forward and backward through activations; the head only where there is a label."""
    heads = config.num_attention_heads * config.head_dim
    attention = config.hidden_size * (2 * heads + 2 * (config.num_key_value_heads or 0) * config.head_dim)
    layer = attention + 3 * config.hidden_size * config.intermediate_size
    layers = config.num_hidden_layers
    weights = layers * layer + config.hidden_size * config.vocab_size * ANSWER / length
    return 4 * weights + 12 * layers * (length / 2) * heads


def qwen3_14b(layers: int) -> Qwen3Config:
    """Return the published shape of Qwen3-14B, with a number of layers."""
    return Qwen3Config(
        vocab_size=151_936,
        hidden_size=5120,
        intermediate_size=17_408,
        num_hidden_layers=layers,
        num_attention_heads=40,
        num_key_value_heads=8,
        head_dim=128,
        max_position_embeddings=40_960,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=False,
        dtype="bfloat16",
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
