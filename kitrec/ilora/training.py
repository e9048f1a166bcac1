"""Training of the teacher: cross-entropy on the answers, validated after every stretch of updates.

    L = - Σ_j log p(answer_j | prompt, answer_<j) / answer tokens of the update
An epoch of the training loop (kitrec/training/loop.py) is a stretch of `judge_every` updates; the validation loss,
always on hybrid prompts, chooses the stretch. Order, kind of prompt, dropout and noise come from the seed and the
number of the update, so a resumed training ends with the same bytes. Experts and projector share one learning rate,
the gate has `gate_rate` of it (0.3 in iLoRA); both warm up and follow half a cosine."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from kitrec.core.errors import InputError
from kitrec.core.randomness import derived_seed
from kitrec.ilora.batch_schedule import Timetable
from kitrec.ilora.dataset import Lessons
from kitrec.ilora.params import Course
from kitrec.ilora.scoring import batches
from kitrec.ilora.teacher import Learned, Teacher
from kitrec.llm.finetuning.dataset import IGNORED, Sample, pad
from kitrec.llm.finetuning.frozen_head_loss import summed_loss
from kitrec.training.loop import OnEpochEnd, fit
from kitrec.training.schedule import set_learning_rate, warmup_cosine
from kitrec.training.selection import LoopConfig, Selection
from kitrec.training.state import Row, TrainingResult, TrainingState

VALIDATION_TOKENS = 16_384  # per batch
SELECTION = Selection("val_loss", greater_is_better=False)


def init_training(teacher: Teacher, course: Course) -> TrainingState[Learned]:
    """The state before the first update."""
    learned = teacher.learned
    others = [parameter for name, parameter in learned.named_parameters() if not name.startswith("gate.")]
    groups = [
        {"params": others, "rate_share": 1.0},
        {"params": list(learned.gate.parameters()), "rate_share": course.gate_rate},
    ]
    optimizer = torch.optim.AdamW(groups, lr=course.learning_rate, weight_decay=course.weight_decay)
    if course.gradient_checkpointing:
        teacher.base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return TrainingState(learned, optimizer)


def planned_stretches(tasks: int, course: Course) -> int:
    """How many stretches a training of so many tasks has at most."""
    updates = course.epochs * math.ceil(tasks / (course.batch * course.accumulation))
    return math.ceil(updates / course.judge_every)


def fit_teacher(
    state: TrainingState[Learned],
    teacher: Teacher,
    lessons: Lessons,
    validation: Lessons,
    course: Course,
    seed: int,
    work: Path | None,
    on_epoch_end: OnEpochEnd,
) -> TrainingResult[Learned]:
    """Train until the last update or until the validation stops improving, and put the best weights in place."""
    if not len(lessons) or not len(validation):
        raise InputError("a teacher needs tasks to learn from, and others to be validated on: both tables need rows")
    step = TeacherStep(state, teacher, Timetable(lessons, course, teacher.words, seed), course, seed)
    config = LoopConfig(planned_stretches(len(lessons), course), SELECTION, course.patience)
    result = fit(step, lambda: validate(teacher, validation), config, state, work, on_epoch_end)
    teacher.train(False)
    return result


@dataclass(frozen=True)
class TeacherStep:
    """One stretch of updates."""

    state: TrainingState[Learned]
    teacher: Teacher
    schedule: Timetable
    course: Course
    seed: int

    def __call__(self, stretch: int) -> Row:
        """Train a stretch (from 0); return its loss per answer token."""
        first = stretch * self.course.judge_every
        after = min(first + self.course.judge_every, self.schedule.updates)
        self.teacher.train()
        summed, tokens = 0.0, 0
        for number in range(first, after):
            update_sum, update_tokens = self._update(number)
            summed, tokens = summed + update_sum, tokens + update_tokens
        return {"epoch": stretch + 1, "update": after, "loss": summed / tokens}

    def _update(self, number: int) -> tuple[float, int]:
        """One update; (summed loss, answer tokens)."""
        model, optimizer, course = self.state.model, self.state.optimizer, self.course
        factor = warmup_cosine(course.warmup, (number + 0.5) / self.schedule.updates)
        set_learning_rate(optimizer, course.learning_rate, factor)
        torch.manual_seed(derived_seed(self.seed, "teacher dropout", number))
        optimizer.zero_grad(set_to_none=True)
        summed, tokens = _accumulate_gradients(self.teacher, self.schedule.micro_batches(number))
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad = parameter.grad / tokens
        torch.nn.utils.clip_grad_norm_(model.parameters(), course.max_grad_norm)
        optimizer.step()
        return summed, tokens


def _accumulate_gradients(
    teacher: Teacher, micro_batches: Iterator[tuple[list[Sample], torch.Tensor]]
) -> tuple[float, int]:
    """Add up the gradients of an update's micro-batches; (summed loss, answer tokens)."""
    summed, tokens = 0.0, 0
    for samples, user_vectors in micro_batches:
        gates = teacher.gates(user_vectors)
        with teacher.speaking(gates):  # backward pass included: checkpointing runs the layers again there
            loss = answer_loss(teacher, samples)
            if not torch.isfinite(loss):
                names = ", ".join(sample.record for sample in samples)
                raise InputError(f"the loss is {loss.item()} in {names}: check these records, or lower learning_rate")
            loss.backward()
        summed += loss.item()
        tokens += sum(len(sample) - sample.prompt for sample in samples)
    return summed, tokens


def answer_loss(teacher: Teacher, samples: list[Sample]) -> torch.Tensor:
    """Cross-entropy summed over the answers' tokens; to be called inside `speaking`."""
    batch = pad(samples, pad_id=0)  # on the right, where causal attention never looks
    ids, labels = batch["input_ids"].to(teacher.device), batch["labels"][:, 1:].to(teacher.device)
    head = teacher.base.get_output_embeddings().weight
    with torch.autocast(head.device.type, torch.bfloat16, enabled=head.dtype == torch.bfloat16):
        hidden = teacher.decoder(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    answered = labels != IGNORED
    return summed_loss(head, hidden[answered], labels[answered], 0.0)


@torch.no_grad()
def validate(teacher: Teacher, lessons: Lessons) -> Row:
    """The loss per answer token, and the mean gate weight of each expert."""
    teacher.train(False)
    total, tokens = 0.0, 0
    gates = teacher.gates(lessons.seen)
    for batch in batches(lessons.lengths, VALIDATION_TOKENS):
        samples = [lessons.samples[k] for k in batch]
        with teacher.speaking(gates[batch]):
            total += answer_loss(teacher, samples).item()
        tokens += sum(len(sample) - sample.prompt for sample in samples)
    experts = {f"val_gate/{k}": share for k, share in enumerate(gates.mean(0).tolist())}
    return {"val_loss": total / tokens, **experts}
