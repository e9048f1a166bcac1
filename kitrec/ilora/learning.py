"""Train a teacher on tables of tasks and store it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch

from kitrec.core.randomness import derived_seed
from kitrec.ilora.dataset import lessons_of
from kitrec.ilora.params import Ilora
from kitrec.ilora.prompts import Writer
from kitrec.ilora.sequence_encoder import Eyes
from kitrec.ilora.storage import save_teacher
from kitrec.ilora.teacher import Teacher
from kitrec.ilora.training import fit_teacher, init_training
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.base.precision import load_in
from kitrec.prompts.template import Item
from kitrec.prompts.tokens import Encoder
from kitrec.recommenders.storage import StoredModel
from kitrec.training.loop import OnEpochEnd
from kitrec.training.state import Progress


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
    teacher = new_teacher(p, load_in(base, p.base_weights), Eyes(stored), data.seed)
    writer = writer_for(teacher, Encoder(load_tokenizer(base)), data.items, p)
    lessons = lessons_of(data.train, writer, teacher.eyes)
    validation = lessons_of(data.development, writer, teacher.eyes)
    state = init_training(teacher, p.course)
    result = fit_teacher(state, teacher, lessons, validation, p.course, data.seed, data.work, on_epoch_end)
    metrics = {name: round(value, 6) for name, value in result.metrics().items()}
    save_teacher(teacher, p, base, {**metrics, "tasks": len(lessons)}, to)
    return result.progress


def new_teacher(p: Ilora, loaded_base: Any, eyes: Eyes, seed: int) -> Teacher:
    """A teacher with initial weights: its experts add nothing yet."""
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "teacher weights"))
        return Teacher(loaded_base, eyes, p.mixture)


def writer_for(teacher: Teacher, encoder: Encoder, items: Mapping[str, Item], p: Ilora) -> Writer:
    """The writer of this teacher's prompts."""
    return Writer(encoder, items, teacher.eyes.numbers if p.choice.hybrid else {}, teacher.words, p.choice)
