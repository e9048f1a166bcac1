"""What both ways to go on from a fine-tuned adapter share: options of TRL's trainers, the run, what it leaves."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PrinterCallback, set_seed

from kitrec.core.errors import InputError
from kitrec.llm.preference.params import Preference


@dataclass(frozen=True)
class Preferred:
    """The adapter on disk after the last update, and a row per logged update."""

    adapter: Path
    log: list[dict[str, float]]


@dataclass(frozen=True)
class Start:
    """What goes on: an adapter on its base; with which randomness, and where its files may lie."""

    base: Any
    adapter: Path
    tokenizer: Any
    seed: int
    work: Path
    quiet: bool

    def model(self) -> PeftModel:
        """The adapter ready to learn."""
        set_seed(self.seed)
        return PeftModel.from_pretrained(self.base, str(self.adapter), is_trainable=True)

    def options(self, p: Preference) -> dict[str, Any]:
        """What both configurations of TRL have in common."""
        on_gpu = torch.cuda.is_available()
        return {
            "output_dir": str(self.work / "checkpoints"),
            "beta": p.beta,
            "learning_rate": p.learning_rate,
            "num_train_epochs": p.epochs,
            "per_device_train_batch_size": p.batch,
            "gradient_accumulation_steps": p.accumulation,
            "gradient_checkpointing": on_gpu,
            "logging_steps": p.log_every,
            "logging_first_step": True,  # or a run of few updates leaves nothing to look at
            "save_strategy": "no",
            "bf16": on_gpu,
            "use_cpu": not on_gpu,
            "seed": self.seed,
            "data_seed": self.seed,
            "disable_tqdm": self.quiet,
            "report_to": "none",
            "disable_dropout": True,  # or the adapter differs from its copy before it has learned anything
        }


def optimise(trainer: Any, names: Mapping[str, str], work: Path) -> Preferred:
    """Let a trainer of TRL train; keep the adapter and the figures that `names` translates from the trainer's log."""
    _as_it_was(trainer.model)
    trainer.remove_callback(PrinterCallback)  # a dict per update, where nobody watches
    trainer.train()
    log = [entry for entry in trainer.state.log_history if "loss" in entry]
    if not all(math.isfinite(entry["loss"]) for entry in log):
        raise InputError("the loss is no number: lower preference.learning_rate")
    trainer.model.save_pretrained(str(work / "adapter"), selected_adapters=["default"])
    rows = [{"step": entry["step"], **{new: entry[old] for old, new in names.items()}} for entry in log]
    return Preferred(work / "adapter", rows)


def _as_it_was(model: Any) -> None:
    """The adapter as its frozen copy: on a quantised base TRL rounds it to bfloat16, where small steps are lost."""
    for name, parameter in model.named_parameters():
        if ".default." in name:
            parameter.data = model.get_parameter(name.replace(".default.", ".ref.")).data.clone()
