"""QLoRA fine-tuning by transformers' Trainer, resumable bit for bit.

Update of a frozen projection W0 (LoRA, arXiv 2106.09685, eq. 3):  h = W0 x + (alpha / r) B A x,  B starts at zero.
Loss: cross-entropy with label smoothing e over the answer's tokens only,
    L = -(1/N) Σ_t [ (1 - e) log p(y_t) + e/V Σ_v log p(v) ],   N = supervised tokens of the whole effective batch.
Deviation from the plain Trainer: logits are computed at supervised positions alone; the values are the same."""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainingArguments, set_seed

from kitrec.errors import InputError
from kitrec.llm.params import FineTune
from kitrec.llm.samples import IGNORED, Sample, pad

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
COMPLETE = "complete"


@dataclass(frozen=True)
class Trained:
    """The adapted model at its best evaluation, and the log of the run."""

    model: Any
    log: list[dict[str, float]]
    steps: int
    best_eval_loss: float


def fine_tune(
    model: Any,
    pad_id: int,
    train: list[Sample],
    development: list[Sample],
    p: FineTune,
    *,
    seed: int,
    checkpoints: Path,
    quiet: bool,
) -> Trained:
    """Train a LoRA adapter on the base, from the newest whole checkpoint where there is one."""
    _check_evaluated(p, len(train))
    set_seed(seed)
    adapted = get_peft_model(model, _lora(p))
    if p.gradient_checkpointing:
        adapted.enable_input_require_grads()
    trainer = _SupervisedTrainer(
        model=adapted,
        args=_arguments(p, seed, checkpoints, quiet=quiet),
        train_dataset=train,
        eval_dataset=development,
        data_collator=partial(pad, pad_id=pad_id),
        callbacks=[_MarkComplete(), EarlyStoppingCallback(p.patience, p.threshold)],
    )
    trainer.train(resume_from_checkpoint=newest_checkpoint(checkpoints))
    assert trainer.state.best_metric is not None
    log = [entry for entry in trainer.state.log_history if "train_runtime" not in entry]
    return Trained(adapted, log, trainer.state.global_step, float(trainer.state.best_metric))


def newest_checkpoint(folder: Path) -> str | None:
    """The last checkpoint that was written to its end."""
    marked = [path.parent for path in folder.glob(f"checkpoint-*/{COMPLETE}")]
    return str(max(marked, key=lambda path: int(path.name.rpartition("-")[2]))) if marked else None


def _check_evaluated(p: FineTune, samples: int) -> None:
    """The best checkpoint is chosen by its evaluation, so there must be one."""
    steps = p.epochs * math.ceil(math.ceil(samples / p.batch) / p.accumulation)
    if steps < p.eval_every:
        raise InputError(f"eval_every: {p.eval_every} is never reached, {samples} samples make {steps} steps; lower it")


class _SupervisedTrainer(Trainer):
    def compute_loss(
        self, model: Any, inputs: dict[str, torch.Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        decoder = self.accelerator.unwrap_model(model).get_base_model()
        # No mask: padding is on the right, causal attention never sees it, and the masked kernel does twice the work.
        hidden = decoder.model(input_ids=inputs["input_ids"], use_cache=False)
        wanted = inputs["labels"][:, 1:]
        learned = wanted != IGNORED
        logits = decoder.lm_head(hidden.last_hidden_state[:, :-1][learned]).float()
        smoothing = self.args.label_smoothing_factor if model.training else 0.0
        total = F.cross_entropy(logits, wanted[learned], reduction="sum", label_smoothing=smoothing)
        loss = total / (num_items_in_batch if num_items_in_batch is not None else learned.sum())
        return (loss, {"logits": logits}) if return_outputs else loss


class _MarkComplete(TrainerCallback):
    """Trainer writes a checkpoint file by file; only a marked one may be resumed from."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()


def _lora(p: FineTune) -> LoraConfig:
    return LoraConfig(
        r=p.lora_rank,
        lora_alpha=p.lora_alpha,
        lora_dropout=p.lora_dropout,
        target_modules=PROJECTIONS,
        bias="none",
        task_type="CAUSAL_LM",
    )


def _arguments(p: FineTune, seed: int, folder: Path, *, quiet: bool) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=p.epochs,
        per_device_train_batch_size=p.batch,
        gradient_accumulation_steps=p.accumulation,
        per_device_eval_batch_size=p.eval_batch,
        learning_rate=p.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=p.warmup_ratio,
        weight_decay=p.weight_decay,
        label_smoothing_factor=p.label_smoothing,
        neftune_noise_alpha=p.neftune_alpha or None,
        max_grad_norm=p.max_grad_norm,
        optim=p.optimizer,
        gradient_checkpointing=p.gradient_checkpointing,
        logging_steps=p.log_every,
        eval_strategy="steps",
        eval_steps=p.eval_every,
        save_steps=p.save_every,
        save_total_limit=p.keep_checkpoints,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        restore_callback_states_from_checkpoint=True,
        prediction_loss_only=True,
        remove_unused_columns=False,
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        data_seed=seed,
        disable_tqdm=quiet,
        report_to="none",
    )
