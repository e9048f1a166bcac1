"""QLoRA fine-tuning by transformers' Trainer, resumable bit for bit.

Update of a frozen projection W0 (LoRA, arXiv 2106.09685, eq. 3):  h = W0 x + (alpha / r) B A x,  B starts at zero.
Loss and noise: supervised.py; order of samples: batches.py. The loss of an update is divided by the supervised tokens
of its whole effective batch, that of an evaluation by those of the whole table: neither depends on micro-batches.

Out of memory, training steps down (memory.py) and goes on from the newest checkpoint. A loss that is no number stops
the run and names its records."""

import gc
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model
from transformers import EarlyStoppingCallback, Trainer, set_seed

from kitrec.core.errors import InputError
from kitrec.llm.finetuning.arguments import arguments, lora
from kitrec.llm.finetuning.checkpoints import MarkComplete, newest_checkpoint
from kitrec.llm.finetuning.dataset import IGNORED, Sample, pad
from kitrec.llm.finetuning.length_buckets import LengthBuckets
from kitrec.llm.finetuning.out_of_memory import means_out_of_memory, stepped_down
from kitrec.llm.finetuning.params import FineTune, Launch
from kitrec.llm.finetuning.supervised import learn_supervised
from kitrec.llm.finetuning.throughput import Pace
from kitrec.llm.finetuning.trackers import trackers
from kitrec.training.launching import launch_processes


@dataclass(frozen=True)
class Course:
    """What is learned from what; picklable, so that every training process can have it."""

    name: str
    load_base: Callable[[], Any]
    pad_id: int
    train: list[Sample]
    development: list[Sample]
    seed: int
    checkpoints: Path
    logs: Path
    quiet: bool


@dataclass(frozen=True)
class Trained:
    """The checkpoint of the best evaluation, the log of the run, the micro-batch that memory allowed, and the pace."""

    checkpoint: Path
    log: list[dict[str, float]]
    steps: int
    best_eval_loss: float
    batch: int
    seconds: float
    pace: dict[str, int]


def fine_tune(course: Course, p: FineTune, launch: Launch) -> Trained:
    """Train a LoRA adapter on the base, from the newest whole checkpoint where there is one."""
    _check_evaluated(p, launch, len(course.train))
    bucket = p.batch * launch.processes  # processes work on like lengths, so none waits for another
    while True:
        try:
            return launch_processes(launch.processes, _train, course, p, launch, bucket)
        except (RuntimeError, MemoryError, InputError) as problem:  # each device and launcher has an error of its own
            if not means_out_of_memory(problem):
                raise
            p = stepped_down(p)
            print(f"out of memory: going on with {p.accumulation} x {p.batch} samples per update", file=sys.stderr)
        gc.collect()  # outside of `except`, where the error still holds the tensors
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _train(course: Course, p: FineTune, launch: Launch, bucket: int) -> Trained:
    """One process of a training; `bucket` samples in a row have like lengths, whatever the micro-batch is."""
    settings = arguments(p, launch, course.checkpoints, seed=course.seed, quiet=course.quiet)
    set_seed(course.seed)
    model = course.load_base()
    _check_vocabulary(model.get_input_embeddings().num_embeddings, [*course.train, *course.development])
    learn_supervised(model, smoothing=p.label_smoothing, neftune_alpha=p.neftune_alpha)
    adapted = get_peft_model(model, lora(p))
    if p.gradient_checkpointing:
        adapted.enable_input_require_grads()
    pace = Pace()
    trainer = SupervisedTrainer(
        LengthBuckets([len(sample) for sample in course.train], bucket, course.seed),
        pace,
        model=adapted,
        args=settings,
        train_dataset=course.train,
        eval_dataset=sorted(course.development, key=len),
        data_collator=partial(pad, pad_id=course.pad_id),
        callbacks=[MarkComplete(), EarlyStoppingCallback(p.patience, p.threshold), pace],
    )
    for tracker in trackers(launch.trackers, course.name, course.logs):
        trainer.add_callback(tracker)
    trainer.train(resume_from_checkpoint=newest_checkpoint(course.checkpoints))
    state = trainer.state
    assert state.best_metric is not None and state.best_model_checkpoint is not None
    log = [entry for entry in state.log_history if "train_runtime" not in entry]
    best = Path(state.best_model_checkpoint)
    return Trained(best, log, state.global_step, float(state.best_metric), p.batch, pace.seconds, pace.measured())


def _check_evaluated(p: FineTune, launch: Launch, samples: int) -> None:
    """The best checkpoint is chosen by its evaluation, so there must be one."""
    steps = p.epochs * math.ceil(math.ceil(samples / (p.batch * launch.processes)) / p.accumulation)
    if steps < p.eval_every:
        raise InputError(f"eval_every: {p.eval_every} is never reached, {samples} samples make {steps} steps; lower it")


def _check_vocabulary(words: int, samples: list[Sample]) -> None:
    """A tokenizer of another base would teach ids that this one has not."""
    for sample in samples:
        if int(sample.ids.max()) >= words:
            raise InputError(
                f"{sample.record}: token {int(sample.ids.max())} is outside the base's vocabulary of {words}: "
                "the tokenizer belongs to another base; take both from one folder or revision"
            )


class SupervisedTrainer(Trainer):
    """Trainer with buckets of like lengths, for a model that returns its summed loss."""

    def __init__(self, order: LengthBuckets, pace: Pace, **options: Any) -> None:
        self._order, self._pace = order, pace
        evaluated: list[Sample] = options.get("eval_dataset") or []
        learned = sum(len(sample) - sample.prompt for sample in evaluated)
        self._learned_per_sample = learned / max(1, len(evaluated))
        super().__init__(**options)

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthBuckets:  # noqa: ARG002  as Trainer calls it
        return self._order

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        records = inputs.pop("records")
        total = model(**inputs)
        if not torch.isfinite(total):
            raise InputError(
                f"the loss is {total.item()} at step {self.state.global_step}, in records {', '.join(records)}; "
                "look at them, or lower learning_rate. The checkpoints before it are kept"
            )
        if model.training:
            self._pace.count(int(inputs["lengths"].sum()), int((inputs["labels"] != IGNORED).sum()))
            # Gradients of several processes are averaged, and this is a sum over all of them.
            loss = total * self.accelerator.num_processes / num_items_in_batch
        else:
            loss = total / (self._learned_per_sample * len(records))
        return (loss, {}) if return_outputs else loss
