"""The peer of bench/train.py: QLoRA as most recipes write it.

transformers' Trainer with its own label smoothing and NEFTune, batches padded to their longest sample with a mask,
samples in random order, logits at every position."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainingArguments, set_seed

from kitrec.llm.base.loading import load_quantised
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.finetuning.arguments import with_lora
from kitrec.llm.finetuning.callbacks import Throughput
from kitrec.llm.finetuning.dataset import Sample, collate
from kitrec.llm.finetuning.params import FineTune


def fine_tune_plainly(
    base: PinnedBase, train: list[Sample], development: list[Sample], p: FineTune, seed: int, folder: Path
) -> tuple[list[dict[str, float]], Throughput]:
    """Train and return the log of the run and its throughput."""
    set_seed(seed)
    model = with_lora(load_quantised(base), p)
    model.enable_input_require_grads()
    pace = Throughput()
    trainer = Trainer(
        model=model,
        args=_arguments(p, seed, folder),
        train_dataset=train,
        eval_dataset=development,
        data_collator=partial(_padded, pad_id=0),
        callbacks=[pace],
    )
    trainer.train()
    return trainer.state.log_history, pace


def _padded(samples: list[Sample], pad_id: int) -> dict[str, torch.Tensor]:
    batch = collate(samples, pad_id)
    positions = torch.arange(batch["input_ids"].shape[1])
    mask = (positions < batch["lengths"][:, None]).long()
    return {"input_ids": batch["input_ids"], "attention_mask": mask, "labels": batch["labels"]}


def _arguments(p: FineTune, seed: int, folder: Path) -> TrainingArguments:
    options: dict[str, Any] = {
        "num_train_epochs": p.epochs,
        "per_device_train_batch_size": p.batch_size,
        "gradient_accumulation_steps": p.gradient_accumulation_steps,
        "per_device_eval_batch_size": 1,
        "learning_rate": p.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": p.warmup_ratio,
        "weight_decay": p.weight_decay,
        "label_smoothing_factor": p.label_smoothing,
        "neftune_noise_alpha": p.neftune_alpha,
        "max_grad_norm": p.max_grad_norm,
        "optim": p.optimizer,
        "gradient_checkpointing": p.gradient_checkpointing,
        "logging_steps": p.logging_steps,
        "save_strategy": "no",
        "prediction_loss_only": True,
        "remove_unused_columns": False,
        "bf16": True,
        "use_cpu": not torch.cuda.is_available(),
        "seed": seed,
        "disable_tqdm": True,
        "report_to": "none",
    }
    return TrainingArguments(output_dir=str(folder), **options)
