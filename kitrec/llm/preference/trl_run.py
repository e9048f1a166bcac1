"""The parts that DPO and GRPO share: options of TRL's trainers, the run and its result."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PrinterCallback, set_seed

from kitrec.core.errors import InputError
from kitrec.llm.base.layers import ends_of_generation
from kitrec.llm.preference.params import Preference


@dataclass(frozen=True)
class PreferenceResult:
    """The adapter on disk after the last update, and a row per logged update."""

    adapter: Path
    log: list[dict[str, float]]


@dataclass(frozen=True)
class PreferenceJob:
    """The adapter to train on its base, the seed, and the folder for its files."""

    base: Any
    adapter: Path
    tokenizer: Any
    seed: int
    work: Path
    quiet: bool

    def model(self) -> PeftModel:
        """Load the adapter for training."""
        set_seed(self.seed)
        self.base.generation_config.eos_token_id = ends_of_generation(self.base, self.tokenizer)
        return PeftModel.from_pretrained(self.base, str(self.adapter), is_trainable=True)

    def options(self, p: Preference) -> dict[str, Any]:
        """Return the options that TRL's configurations share."""
        on_gpu = torch.cuda.is_available()
        return {
            "output_dir": str(self.work / "checkpoints"),
            "beta": p.beta,
            "learning_rate": p.learning_rate,
            "num_train_epochs": p.epochs,
            "per_device_train_batch_size": p.batch_size,
            "gradient_accumulation_steps": p.gradient_accumulation_steps,
            "gradient_checkpointing": on_gpu,
            "logging_steps": p.logging_steps,
            "logging_first_step": True,  # or a run of few updates logs nothing
            "save_strategy": "no",
            "bf16": on_gpu,
            "use_cpu": not on_gpu,
            "seed": self.seed,
            "data_seed": self.seed,
            "disable_tqdm": self.quiet,
            "report_to": "none",
            "disable_dropout": True,  # or the adapter differs from its copy before the first update
        }


def run_trainer(trainer: Any, names: Mapping[str, str], work: Path) -> PreferenceResult:
    """Run a trainer of TRL; save the adapter, and return the logged values under the names that `names` maps to."""
    _start_as_reference(trainer.model)
    trainer.remove_callback(PrinterCallback)  # it would print a dict per update
    trainer.train()
    log = [entry for entry in trainer.state.log_history if "loss" in entry]
    if not all(math.isfinite(entry["loss"]) for entry in log):
        raise InputError("the loss is not finite: lower preference.learning_rate")
    trainer.model.save_pretrained(str(work / "adapter"), selected_adapters=["default"])
    rows = [{"step": entry["step"], **{new: entry[old] for old, new in names.items()}} for entry in log]
    return PreferenceResult(work / "adapter", rows)


def _start_as_reference(model: Any) -> None:
    """Copy the reference to the adapter: on a quantised base TRL rounds it to bfloat16, which loses small steps."""
    for name, parameter in model.named_parameters():
        if ".default." in name:
            parameter.data = model.get_parameter(name.replace(".default.", ".ref.")).data.clone()
