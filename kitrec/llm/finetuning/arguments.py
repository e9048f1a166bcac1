"""Hyperparameters of params.yaml as configurations of PEFT and transformers."""

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import TrainingArguments

from kitrec.llm.base.memory_plan import TrainingLoad
from kitrec.llm.base.params import Adapter
from kitrec.llm.base.precision import computes_in_bf16
from kitrec.llm.finetuning.lora import with_adapter
from kitrec.llm.finetuning.params import FineTune, Launch


def with_lora(model: Any, p: FineTune) -> PeftModel:
    """Give the model a fresh LoRA, under the name that PEFT gives a single adapter."""
    adapter = Adapter(rank=p.lora_rank, alpha=p.lora_alpha, dropout=p.lora_dropout)
    return with_adapter(model, adapter, "default")


def training_load(p: FineTune, launch: Launch, length: int) -> TrainingLoad:
    """Return what a training on samples of at most `length` tokens keeps on a device."""
    return TrainingLoad(
        launch.base_weights,
        p.lora_rank,
        p.batch_size,
        length,
        p.gradient_checkpointing,
        launch.processes if launch.sharded else 1,
    )


def training_arguments(p: FineTune, launch: Launch, folder: Path, *, seed: int, quiet: bool) -> TrainingArguments:
    """Return Trainer's arguments, without label smoothing and NEFTune: frozen_head_loss.py implements both."""
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=p.epochs,
        per_device_train_batch_size=p.batch_size,
        gradient_accumulation_steps=p.gradient_accumulation_steps,
        per_device_eval_batch_size=p.eval_batch_size,
        learning_rate=p.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=p.warmup_ratio,
        weight_decay=p.weight_decay,
        max_grad_norm=p.max_grad_norm,
        optim=p.optimizer,
        gradient_checkpointing=p.gradient_checkpointing and not launch.sharded,
        logging_steps=p.logging_steps,
        eval_strategy="steps",
        eval_steps=p.eval_steps,
        save_steps=p.save_steps,
        save_total_limit=p.save_total_limit,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        restore_callback_states_from_checkpoint=True,
        prediction_loss_only=True,
        remove_unused_columns=False,
        dataloader_num_workers=launch.dataloader_num_workers,
        dataloader_pin_memory=torch.cuda.is_available(),
        bf16=computes_in_bf16(),
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        data_seed=seed,
        disable_tqdm=quiet,
        report_to="none",
        **_distributed_options(p, launch),
    )


def _distributed_options(p: FineTune, launch: Launch) -> dict[str, Any]:
    """Return the options of several processes: the backend, and FSDP with its own activation checkpointing."""
    if launch.processes == 1:
        return {}
    options: dict[str, Any] = {"ddp_backend": "nccl" if torch.cuda.is_available() else "gloo"}
    if launch.sharded:
        options["fsdp"] = True
        options["fsdp_config"] = {
            "version": 2,
            "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "state_dict_type": "FULL_STATE_DICT",
            "activation_checkpointing": p.gradient_checkpointing,
        }
    else:
        options["ddp_find_unused_parameters"] = False
    return options
