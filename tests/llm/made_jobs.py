"""Samples, jobs and models as tests of fine-tuning need them."""

from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from kitrec.llm.finetuning.dataset import Sample
from kitrec.llm.finetuning.params import Launch
from kitrec.llm.finetuning.trainer import FineTuningJob

ONE_PROCESS = Launch(processes=1, sharding="none", base_weights="nf4", dataloader_num_workers=0, trackers=[])


def made_samples(count: int, seed: int = 0) -> list[Sample]:
    g = np.random.default_rng(seed)
    return [Sample(f"r{k}", g.integers(300, 1500, 40 + 3 * k, dtype=np.int32), 30) for k in range(count)]


def made_job(load_base, checkpoints: Path, *, train=None, development=None, seed=3) -> FineTuningJob:
    return FineTuningJob(
        "toy",
        load_base,
        0,
        made_samples(10) if train is None else train,
        made_samples(3, seed=1) if development is None else development,
        seed,
        checkpoints,
        checkpoints / "logs",
        quiet=True,
    )


def plain_model(folder):
    """The base's weights in float32, without quantisation."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def tensors(batch):
    """The part of a batch that a model takes."""
    return {name: value for name, value in batch.items() if name != "record_ids"}
