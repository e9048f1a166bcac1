"""The teacher's training: cross-entropy on the answers, in stretches of updates.

    L = - Σ_j log p(answer_j | prompt, answer_<j) / learned tokens of the update
A stretch is `validate_every` updates; after it the validation's loss, always on hybrid prompts, is measured, the least
one is kept, and a broken-off training goes on from there (kitrec/recommenders/sequence_fitting.py, whose epochs are
stretches here). Order, kind of prompt, dropout and noise come from the seed and the number of the update: a resumed
run ends with the same bytes. Experts and projector learn at one rate, the gate at `gate_lr_ratio` of it (0.3 in iLoRA);
both warm up and fall by a cosine."""

import math
from collections.abc import Iterator

import torch

from kitrec.core.errors import InputError
from kitrec.core.randomness import derived_seed
from kitrec.ilora.batch_schedule import BatchSchedule
from kitrec.ilora.dataset import TokenizedDataset
from kitrec.ilora.params import TrainingConfig
from kitrec.ilora.scoring import batches
from kitrec.ilora.teacher import Learned, Teacher
from kitrec.llm.finetuning.dataset import IGNORE_INDEX, Sample, collate
from kitrec.llm.finetuning.frozen_head_loss import summed_loss
from kitrec.recommenders.sequence_training import Progress, Training, Watcher

JUDGED_TOKENS = 16_384  # of a batch of the validation


def begin(teacher: Teacher, course: TrainingConfig) -> Training[Learned]:
    """A training before its first update."""
    learned = teacher.learned
    others = [own for name, own in learned.named_parameters() if not name.startswith("gate.")]
    groups = [
        {"params": others, "share": 1.0},
        {"params": list(learned.gate.parameters()), "share": course.gate_lr_ratio},
    ]
    optimizer = torch.optim.AdamW(groups, lr=course.learning_rate, weight_decay=course.weight_decay)
    if course.gradient_checkpointing:
        teacher.base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return Training(learned, optimizer, Progress())


def train(
    training: Training[Learned],
    teacher: Teacher,
    lessons: TokenizedDataset,
    validation: TokenizedDataset,
    course: TrainingConfig,
    seed: int,
    watch: Watcher,
) -> None:
    """Learn until the last update or until the validation gets no better; `watch` is called after every stretch."""
    if not len(lessons) or not len(validation):
        raise InputError("a teacher needs tasks to learn from, and others to be judged by: both tables need rows")
    timetable = BatchSchedule(lessons, course, teacher.vocab_size, seed)
    with torch.random.fork_rng():
        while (first := training.progress.epoch * course.validate_every) < timetable.updates:
            if training.progress.stale >= course.patience:
                break
            stretch = range(first, min(first + course.validate_every, timetable.updates))
            loss = _learn(training, teacher, timetable, stretch, course, seed)
            _settle(training.progress, stretch.stop, loss, judged(teacher, validation))
            watch(training)
    teacher.train(False)


def _learn(
    training: Training[Learned],
    teacher: Teacher,
    timetable: BatchSchedule,
    stretch: range,
    course: TrainingConfig,
    seed: int,
) -> float:
    """The updates of a stretch; their loss per learned token."""
    teacher.train()
    summed, tokens = 0.0, 0
    for number in stretch:
        _set_rates(training.optimizer, course, (number + 0.5) / timetable.updates)
        torch.manual_seed(derived_seed(seed, "teacher dropout", number))
        training.optimizer.zero_grad(set_to_none=True)
        own_sum, own_tokens = _gradients(teacher, timetable.micro_batches(number))
        for own in training.model.parameters():
            if own.grad is not None:
                own.grad = own.grad / own_tokens
        torch.nn.utils.clip_grad_norm_(training.model.parameters(), course.max_grad_norm)
        training.optimizer.step()
        summed, tokens = summed + own_sum, tokens + own_tokens
    return summed / tokens


def _gradients(teacher: Teacher, parts: Iterator[tuple[list[Sample], torch.Tensor]]) -> tuple[float, int]:
    """Add up the gradients of an update's micro-batches; (summed loss, learned tokens)."""
    summed, tokens = 0.0, 0
    for samples, seen in parts:
        gates = teacher.gates(seen)
        with teacher.use_gates(gates):  # backward pass included: checkpointing runs the layers again there
            loss = answer_loss(teacher, samples)
            if not torch.isfinite(loss):
                names = ", ".join(own.record_id for own in samples)
                raise InputError(f"the loss is {loss.item()} in {names}: look at them, or lower learning_rate")
            loss.backward()
        summed += loss.item()
        tokens += sum(len(own) - own.prompt_length for own in samples)
    return summed, tokens


def answer_loss(teacher: Teacher, samples: list[Sample]) -> torch.Tensor:
    """Cross-entropy summed over the answers' tokens; to be called inside `use_gates`."""
    batch = collate(samples, pad_id=0)  # on the right, where causal attention never looks
    ids, wanted = batch["input_ids"].to(teacher.device), batch["labels"][:, 1:].to(teacher.device)
    head = teacher.base.get_output_embeddings().weight
    with torch.autocast(head.device.type, torch.bfloat16, enabled=head.dtype == torch.bfloat16):
        hidden = teacher.decoder(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    answered = wanted != IGNORE_INDEX
    return summed_loss(head, hidden[answered], wanted[answered], 0.0)


@torch.no_grad()
def judged(teacher: Teacher, lessons: TokenizedDataset) -> dict[str, float]:
    """The loss per learned token, and how much each expert has to say on average."""
    teacher.train(False)
    total, tokens = 0.0, 0
    gates = teacher.gates(lessons.user_embeddings)
    for batch in batches(lessons.lengths, JUDGED_TOKENS):
        samples = [lessons.samples[k] for k in batch]
        with teacher.use_gates(gates[batch]):
            total += answer_loss(teacher, samples).item()
        tokens += sum(len(own) - own.prompt_length for own in samples)
    experts = {f"val_gate/{k}": share for k, share in enumerate(gates.mean(0).tolist())}
    return {"val_loss": total / tokens, **experts}


def _settle(progress: Progress, update: int, loss: float, told: dict[str, float]) -> None:
    if not math.isfinite(told["val_loss"]):
        raise InputError(f"after update {update} the validation's loss is no number: lower learning_rate")
    progress.epoch += 1
    progress.rows.append({"epoch": progress.epoch, "update": update, "loss": loss, **told})
    better = -told["val_loss"] > progress.best
    progress.stale = 0 if better else progress.stale + 1
    if better:
        progress.best, progress.best_epoch = -told["val_loss"], progress.epoch


def _set_rates(optimizer: torch.optim.Optimizer, course: TrainingConfig, done: float) -> None:
    """Warm-up, then a cosine to 0; every group in its share."""
    if done < course.warmup_ratio:
        share = done / course.warmup_ratio
    else:
        share = 0.5 * (1 + math.cos(math.pi * (done - course.warmup_ratio) / (1 - course.warmup_ratio)))
    for group in optimizer.param_groups:
        group["lr"] = course.learning_rate * group["share"] * share
