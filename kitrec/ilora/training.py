"""Training of the teacher: cross-entropy on the answers, validated after every stretch of updates.

    L = - Σ_j log p(answer_j | prompt, answer_<j) / answer tokens of the update
An epoch of the training loop (kitrec/training/loop.py) is a stretch of `validate_every` updates; the validation loss,
always on hybrid prompts, chooses the stretch. Order, kind of prompt, dropout and noise come from the seed and the
number of the update, so a resumed training ends with the same bytes. Experts and projector share one learning rate,
the gate has `gate_lr_ratio` of it (0.3 in iLoRA); both warm up and follow half a cosine."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import torch

from kitrec.core.errors import InputError
from kitrec.core.randomness import derived_seed
from kitrec.ilora.batch_schedule import BatchSchedule
from kitrec.ilora.dataset import TokenizedDataset, training_dataset
from kitrec.ilora.params import Ilora, TrainingConfig
from kitrec.ilora.sequence_encoder import SequenceEncoder
from kitrec.ilora.storage import save_teacher
from kitrec.ilora.teacher import Learned, Teacher, new_teacher, prompt_builder_for
from kitrec.llm.base.loading import load_base, load_tokenizer
from kitrec.llm.base.memory_plan import TrainingLoad, check_training
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.finetuning.dataset import IGNORE_INDEX, Sample, collate
from kitrec.llm.finetuning.frozen_head_loss import summed_loss
from kitrec.llm.likelihood.shared_prefix import batches
from kitrec.prompts.shown_items import Item
from kitrec.prompts.tokens import Encoder
from kitrec.recommenders.storage import StoredModel
from kitrec.training.loop import OnEpochEnd, fit
from kitrec.training.schedule import set_learning_rate, warmup_cosine
from kitrec.training.selection import LoopConfig, Selection
from kitrec.training.state import Progress, Row, TrainingResult, TrainingState

VALIDATION_TOKENS = 16_384  # per batch
SELECTION = Selection("val_loss", greater_is_better=False)


@dataclass(frozen=True)
class TrainingData:
    """The tables a teacher is trained on; `development` chooses the best weights."""

    seed: int
    items: Mapping[str, Item]
    train: pl.DataFrame  # tasks
    development: pl.DataFrame
    work: Path


def train_teacher(
    p: Ilora, base: PinnedBase, stored: StoredModel, data: TrainingData, on_epoch_end: OnEpochEnd, to: Path
) -> Progress:
    """Train a teacher, from the checkpoint in the work folder if there is one, and store its best weights."""
    check_training(base, teacher_load(p))
    teacher = new_teacher(p, load_base(base, p.base_weights), SequenceEncoder(stored), data.seed)
    builder = prompt_builder_for(teacher, Encoder(load_tokenizer(base)), data.items, p)
    dataset = training_dataset(data.train, builder, teacher.sequence_encoder)
    validation = training_dataset(data.development, builder, teacher.sequence_encoder)
    state = init_training(teacher, p.training)
    result = fit_teacher(state, teacher, dataset, validation, p.training, data.seed, data.work, on_epoch_end)
    metrics = {name: round(value, 6) for name, value in result.metrics().items()}
    save_teacher(teacher, p, base, {**metrics, "tasks": len(dataset)}, to)
    return result.progress


def teacher_load(p: Ilora) -> TrainingLoad:
    """Return what the training of a teacher keeps on a device."""
    t = p.training
    return TrainingLoad(p.base_weights, p.mixture.rank, t.batch_size, p.prompt.max_length, t.gradient_checkpointing)


def init_training(teacher: Teacher, config: TrainingConfig) -> TrainingState[Learned]:
    """Return the state before the first update."""
    learned = teacher.learned
    others = [parameter for name, parameter in learned.named_parameters() if not name.startswith("gate.")]
    groups = [
        {"params": others, "rate_share": 1.0},
        {"params": list(learned.gate.parameters()), "rate_share": config.gate_lr_ratio},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)
    if config.gradient_checkpointing:
        teacher.base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return TrainingState(learned, optimizer)


def planned_stretches(tasks: int, config: TrainingConfig) -> int:
    """Return how many stretches a training of so many tasks has at most."""
    updates = config.epochs * math.ceil(tasks / (config.batch_size * config.gradient_accumulation_steps))
    return math.ceil(updates / config.validate_every)


def fit_teacher(
    state: TrainingState[Learned],
    teacher: Teacher,
    dataset: TokenizedDataset,
    validation: TokenizedDataset,
    config: TrainingConfig,
    seed: int,
    work: Path | None,
    on_epoch_end: OnEpochEnd,
) -> TrainingResult[Learned]:
    """Train until the last update or until the validation stops improving, and put the best weights in place."""
    if not len(dataset) or not len(validation):
        raise InputError("a teacher needs tasks to learn from, and others to be validated on: both tables need rows")
    step = TeacherStep(state, teacher, BatchSchedule(dataset, config, teacher.vocab_size, seed), config, seed)
    loop_config = LoopConfig(planned_stretches(len(dataset), config), SELECTION, config.patience)
    result = fit(step, lambda: validate(teacher, validation), loop_config, state, work, on_epoch_end)
    teacher.train(False)
    return result


@dataclass(frozen=True)
class TeacherStep:
    """One stretch of updates."""

    state: TrainingState[Learned]
    teacher: Teacher
    schedule: BatchSchedule
    config: TrainingConfig
    seed: int

    def __call__(self, stretch: int) -> Row:
        """Train a stretch (from 0); return its loss per answer token."""
        first = stretch * self.config.validate_every
        after = min(first + self.config.validate_every, self.schedule.updates)
        self.teacher.train()
        summed, tokens = 0.0, 0
        for number in range(first, after):
            update_sum, update_tokens = self._update(number)
            summed, tokens = summed + update_sum, tokens + update_tokens
        return {"epoch": stretch + 1, "update": after, "loss": summed / tokens}

    def _update(self, number: int) -> tuple[float, int]:
        """Make one update; return its summed loss and its number of answer tokens."""
        model, optimizer, config = self.state.model, self.state.optimizer, self.config
        factor = warmup_cosine(config.warmup_ratio, (number + 0.5) / self.schedule.updates)
        set_learning_rate(optimizer, config.learning_rate, factor)
        torch.manual_seed(derived_seed(self.seed, "teacher dropout", number))
        optimizer.zero_grad(set_to_none=True)
        summed, tokens = _accumulate_gradients(self.teacher, self.schedule.micro_batches(number))
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad = parameter.grad / tokens
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimizer.step()
        return summed, tokens


def _accumulate_gradients(
    teacher: Teacher, micro_batches: Iterator[tuple[list[Sample], torch.Tensor]]
) -> tuple[float, int]:
    """Add up the gradients of an update's micro-batches; return the summed loss and the number of answer tokens."""
    summed, tokens = 0.0, 0
    for samples, user_embeddings in micro_batches:
        gates = teacher.gates(user_embeddings)
        with teacher.use_gates(gates):  # backward pass included: checkpointing runs the layers again there
            loss = answer_loss(teacher, samples)
            if not torch.isfinite(loss):
                names = ", ".join(sample.record_id for sample in samples)
                raise InputError(f"the loss is {loss.item()} in {names}: check these records, or lower learning_rate")
            loss.backward()
        summed += loss.item()
        tokens += sum(len(sample) - sample.prompt_length for sample in samples)
    return summed, tokens


def answer_loss(teacher: Teacher, samples: list[Sample]) -> torch.Tensor:
    """Return the cross-entropy summed over the answers' tokens; to be called inside `use_gates`."""
    batch = collate(samples, pad_id=0)  # on the right, where causal attention never looks
    ids, labels = batch["input_ids"].to(teacher.device), batch["labels"][:, 1:].to(teacher.device)
    head = teacher.base.get_output_embeddings().weight
    with torch.autocast(head.device.type, torch.bfloat16, enabled=head.dtype == torch.bfloat16):
        hidden = teacher.decoder(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    is_answer = labels != IGNORE_INDEX
    return summed_loss(head, hidden[is_answer], labels[is_answer], 0.0)


@torch.no_grad()
def validate(teacher: Teacher, dataset: TokenizedDataset) -> Row:
    """Return the loss per answer token, and the mean gate weight of each expert."""
    teacher.train(False)
    total, tokens = 0.0, 0
    gates = teacher.gates(dataset.user_embeddings)
    for batch in batches(dataset.lengths, VALIDATION_TOKENS):
        samples = [dataset.samples[k] for k in batch]
        with teacher.use_gates(gates[batch]):
            total += answer_loss(teacher, samples).item()
        tokens += sum(len(sample) - sample.prompt_length for sample in samples)
    experts = {f"val_gate/{k}": weight for k, weight in enumerate(gates.mean(0).tolist())}
    return {"val_loss": total / tokens, **experts}
