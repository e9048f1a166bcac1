"""QLoRA fine-tuning by transformers' Trainer, resumable bit for bit.

Update of a frozen projection W0 (LoRA, arXiv 2106.09685, eq. 3):  h = W0 x + (alpha / r) B A x,  B starts at zero.
Loss: loss.py, over the answer's tokens only, divided by the supervised tokens of the whole effective batch.
Deviation from the plain Trainer: logits are computed at supervised positions alone; the values are the same.

Out of memory, training steps down a ladder: smaller micro-batches, as many more of them, from the newest checkpoint;
the effective batch, the order of samples and the schedule stay. A loss that is no number stops the run and names its
records."""

import gc
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments, set_seed

from kitrec.errors import InputError
from kitrec.llm.checkpoints import MarkComplete, newest_checkpoint
from kitrec.llm.loss import summed_loss
from kitrec.llm.params import FineTune
from kitrec.llm.samples import IGNORED, Sample, pad

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True)
class Trained:
    """The adapted model at its best evaluation, the log of the run, and the micro-batch that memory allowed."""

    model: Any
    log: list[dict[str, float]]
    steps: int
    best_eval_loss: float
    batch: int


def fine_tune(
    load_base: Callable[[], Any],
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
    while True:
        try:
            return _train(load_base(), pad_id, train, development, p, seed, checkpoints, quiet=quiet)
        except (RuntimeError, MemoryError) as problem:  # every device has an out-of-memory error of its own
            if not means_out_of_memory(problem):
                raise
            p = _stepped_down(p)
            print(f"out of memory: going on with {p.accumulation} x {p.batch} samples per update", file=sys.stderr)
        gc.collect()  # outside of `except`, where the error still holds the tensors
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def means_out_of_memory(problem: BaseException) -> bool:
    """Whether an error says so, in the words of CUDA, of torch's CPU allocator, or of Python."""
    if isinstance(problem, torch.OutOfMemoryError | MemoryError):
        return True
    return "can't allocate memory" in str(problem) or "out of memory" in str(problem).lower()


def _stepped_down(p: FineTune) -> FineTune:
    """The next smaller micro-batch that divides this one, with the same effective batch; then that of evaluation."""
    if p.batch > 1:
        smaller = next(size for size in range(p.batch // 2, 0, -1) if p.batch % size == 0)
        return replace(p, batch=smaller, accumulation=p.accumulation * p.batch // smaller)
    if p.eval_batch > 1:
        return replace(p, eval_batch=p.eval_batch // 2)
    raise InputError("out of memory with one sample at a time: lower prompt.max_length, or use a larger device")


def _train(
    model: Any,
    pad_id: int,
    train: list[Sample],
    development: list[Sample],
    p: FineTune,
    seed: int,
    checkpoints: Path,
    *,
    quiet: bool,
) -> Trained:
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
        callbacks=[MarkComplete(), EarlyStoppingCallback(p.patience, p.threshold)],
    )
    trainer.train(resume_from_checkpoint=newest_checkpoint(checkpoints))
    assert trainer.state.best_metric is not None
    log = [entry for entry in trainer.state.log_history if "train_runtime" not in entry]
    return Trained(adapted, log, trainer.state.global_step, float(trainer.state.best_metric), p.batch)


def _check_evaluated(p: FineTune, samples: int) -> None:
    """The best checkpoint is chosen by its evaluation, so there must be one."""
    steps = p.epochs * math.ceil(math.ceil(samples / p.batch) / p.accumulation)
    if steps < p.eval_every:
        raise InputError(f"eval_every: {p.eval_every} is never reached, {samples} samples make {steps} steps; lower it")


class _SupervisedTrainer(Trainer):
    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        decoder = self.accelerator.unwrap_model(model).get_base_model()
        # No mask: padding is on the right, causal attention never sees it, and the masked kernel does twice the work.
        hidden = decoder.model(input_ids=inputs["input_ids"], use_cache=False).last_hidden_state[:, :-1]
        wanted = inputs["labels"][:, 1:]
        learned = wanted != IGNORED
        smoothing = self.args.label_smoothing_factor if model.training else 0.0
        total = summed_loss(decoder.lm_head, hidden[learned], wanted[learned], smoothing)
        if not torch.isfinite(total):
            named = ", ".join(inputs["records"])
            raise InputError(
                f"the loss is {total.item()} at step {self.state.global_step}, in records {named}; "
                "look at them, or lower learning_rate. The checkpoints before it are kept"
            )
        loss = total / (num_items_in_batch if num_items_in_batch is not None else learned.sum())
        return (loss, {}) if return_outputs else loss


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
