"""QLoRA fine-tuning by transformers' Trainer, resumable bit for bit.

Update of a frozen projection W0 (LoRA, arXiv 2106.09685, eq. 3):  h = W0 x + (alpha / r) B A x,  B starts at zero.
Loss and noise: frozen_head_loss.py; order of samples: length_buckets.py; layers on a processor: light_lora.py. The
loss of an update is divided by the supervised tokens of its whole effective batch, that of an evaluation by those of
the whole table: neither depends on micro-batches.

Out of memory, training resumes from the newest checkpoint with a smaller micro-batch (recovery.py). A loss that is not
finite stops the run and names its records."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import EarlyStoppingCallback, Trainer, set_seed

from kitrec.core.errors import InputError
from kitrec.llm.finetuning.arguments import training_arguments, with_lora
from kitrec.llm.finetuning.callbacks import Throughput, tracker_callbacks
from kitrec.llm.finetuning.dataset import IGNORE_INDEX, Sample, collate
from kitrec.llm.finetuning.frozen_head_loss import replace_forward_by_loss
from kitrec.llm.finetuning.length_buckets import LengthBuckets
from kitrec.llm.finetuning.light_lora import use_light_layers
from kitrec.llm.finetuning.params import FineTune, Launch
from kitrec.llm.finetuning.recovery import MarkComplete, newest_checkpoint, smaller_micro_batch
from kitrec.llm.finetuning.results import FineTuningResult
from kitrec.training.launching import launch_processes
from kitrec.training.out_of_memory import run_in_memory


@dataclass(frozen=True)
class FineTuningJob:
    """The base, the samples and the folders of a fine-tuning; picklable, so that every process can receive it."""

    run_name: str
    load_base: Callable[[], Any]
    pad_id: int
    train: list[Sample]
    development: list[Sample]
    seed: int
    checkpoints: Path
    logs: Path
    quiet: bool


def fine_tune(job: FineTuningJob, p: FineTune, launch: Launch) -> FineTuningResult:
    """Train a LoRA adapter on the base, from the newest complete checkpoint where there is one."""
    _check_evaluated(p, launch, len(job.train))
    bucket_size = p.batch_size * launch.processes  # processes get similar lengths, so that none waits for another

    def train(p: FineTune) -> FineTuningResult:
        return launch_processes(launch.processes, _train, job, p, launch, bucket_size)

    def describe(p: FineTune) -> str:
        return f"resuming with {p.gradient_accumulation_steps} x {p.batch_size} samples per update"

    result, _ = run_in_memory(train, p, smaller_micro_batch, describe)
    return result


def _train(job: FineTuningJob, p: FineTune, launch: Launch, bucket_size: int) -> FineTuningResult:
    """Run one process of a training; `bucket_size` samples in a row have similar lengths at any micro-batch."""
    settings = training_arguments(p, launch, job.checkpoints, seed=job.seed, quiet=job.quiet)
    set_seed(job.seed)
    model = job.load_base()
    _check_vocabulary(model.get_input_embeddings().num_embeddings, [*job.train, *job.development])
    replace_forward_by_loss(model, smoothing=p.label_smoothing, neftune_alpha=p.neftune_alpha)
    adapted = with_lora(model, p)
    if not launch.sharded:  # there the layers' weights are spread, and whole only within their own forward
        use_light_layers(adapted)
    if p.gradient_checkpointing:
        adapted.enable_input_require_grads()
    throughput = Throughput()
    early_stopping = EarlyStoppingCallback(p.early_stopping_patience, p.early_stopping_threshold)
    trainer = SupervisedTrainer(
        LengthBuckets([len(sample) for sample in job.train], bucket_size, job.seed),
        throughput,
        model=adapted,
        args=settings,
        train_dataset=job.train,
        eval_dataset=sorted(job.development, key=len),
        data_collator=partial(collate, pad_id=job.pad_id),
        callbacks=[MarkComplete(), early_stopping, throughput],
    )
    for tracker in tracker_callbacks(launch.trackers, job.run_name, job.logs):
        trainer.add_callback(tracker)
    trainer.train(resume_from_checkpoint=newest_checkpoint(job.checkpoints))
    state = trainer.state
    assert state.best_metric is not None and state.best_model_checkpoint is not None
    return FineTuningResult(
        checkpoint=Path(state.best_model_checkpoint),
        log=[entry for entry in state.log_history if "train_runtime" not in entry],
        steps=state.global_step,
        best_eval_loss=float(state.best_metric),
        batch_size=p.batch_size,
        seconds=throughput.seconds,
        throughput=throughput.metrics(),
    )


def _check_evaluated(p: FineTune, launch: Launch, samples: int) -> None:
    """Refuse a training without any evaluation: the best checkpoint is chosen by it."""
    micro_batches = math.ceil(samples / (p.batch_size * launch.processes))
    steps = p.epochs * math.ceil(micro_batches / p.gradient_accumulation_steps)
    if steps < p.eval_steps:
        raise InputError(f"eval_steps: {p.eval_steps} is never reached, {samples} samples make {steps} steps; lower it")


def _check_vocabulary(size: int, samples: list[Sample]) -> None:
    """Refuse samples with ids that the base does not have: the tokenizer then belongs to another base."""
    for sample in samples:
        if int(sample.ids.max()) >= size:
            raise InputError(
                f"{sample.record_id}: token {int(sample.ids.max())} is outside the base's vocabulary of {size}: "
                "the tokenizer belongs to another base; take both from one folder or revision"
            )


class SupervisedTrainer(Trainer):
    """Trainer with batches of similar lengths, for a model that returns its summed loss."""

    def __init__(self, sampler: LengthBuckets, throughput: Throughput, **options: Any) -> None:
        self._sampler, self._throughput = sampler, throughput
        development: list[Sample] = options.get("eval_dataset") or []
        supervised = sum(len(sample) - sample.prompt_length for sample in development)
        self._supervised_per_sample = supervised / max(1, len(development))
        super().__init__(**options)

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthBuckets:  # noqa: ARG002  as Trainer calls it
        return self._sampler

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        record_ids = inputs.pop("record_ids")
        total = model(**inputs)
        if not torch.isfinite(total):
            raise InputError(
                f"the loss is {total.item()} at step {self.state.global_step}, in records {', '.join(record_ids)}; "
                "look at them, or lower learning_rate. The checkpoints before it are kept"
            )
        if model.training:
            self._throughput.count(int(inputs["lengths"].sum()), int((inputs["labels"] != IGNORE_INDEX).sum()))
            # Gradients of several processes are averaged, and this is a sum over all of them.
            loss = total * self.accelerator.num_processes / num_items_in_batch
        else:
            loss = total / (self._supervised_per_sample * len(record_ids))
        return (loss, {}) if return_outputs else loss
