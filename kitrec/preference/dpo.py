"""Direct preference optimisation by TRL, from a fine-tuned adapter on (Rafailov et al. 2023, arXiv 2305.18290, eq. 7).

    L = -log sigma( beta [ log pi(w|x) / ref(w|x) - log pi(l|x) / ref(l|x) ] )
w, l: the chosen and the rejected output; pi: the adapter that learns; ref: a frozen copy of it as it was, on one base.
Deviation from TRL's own use: pairs come as token ids, so that its tokenisation is never a second one."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import set_seed
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from kitrec.errors import InputError
from kitrec.preference.pairs import Pair
from kitrec.preference.params import Preference


@dataclass(frozen=True)
class Preferred:
    """The adapter on disk after the last update, and the log: loss, accuracy and margin of the rewards."""

    adapter: Path
    log: list[dict[str, float]]


def prefer(
    base: Any, adapter: Path, tokenizer: Any, pairs: list[Pair], p: Preference, *, seed: int, work: Path, quiet: bool
) -> Preferred:
    """Go on training `adapter` until it prefers what is to be chosen."""
    set_seed(seed)
    model = PeftModel.from_pretrained(base, str(adapter), is_trainable=True)
    trainer = _Tokenised(
        model=model,
        args=_config(p, seed, work, quiet),
        train_dataset=Dataset.from_list(pairs),
        processing_class=tokenizer,
    )
    trainer.train()
    log = [entry for entry in trainer.state.log_history if "loss" in entry]
    if not all(math.isfinite(entry["loss"]) for entry in log):
        raise InputError("the loss is no number: lower preference.learning_rate")
    model.save_pretrained(str(work / "adapter"), selected_adapters=["default"])
    return Preferred(work / "adapter", log)


class _Tokenised(DPOTrainer):
    def _prepare_dataset(self, dataset: Dataset, *_: Any, **__: Any) -> Dataset:
        return dataset


def _config(p: Preference, seed: int, work: Path, quiet: bool) -> DPOConfig:
    on_gpu = torch.cuda.is_available()
    return DPOConfig(
        output_dir=str(work / "checkpoints"),
        beta=p.beta,
        learning_rate=p.learning_rate,
        num_train_epochs=p.epochs,
        per_device_train_batch_size=p.batch,
        gradient_accumulation_steps=p.accumulation,
        gradient_checkpointing=on_gpu,
        max_length=None,  # pairs fit already; a cut would take the answer
        logging_steps=p.log_every,
        save_strategy="no",
        bf16=on_gpu,
        use_cpu=not on_gpu,
        seed=seed,
        data_seed=seed,
        disable_tqdm=quiet,
        report_to="none",
    )
