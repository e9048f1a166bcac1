"""From tables of tasks to a stored teacher."""

from collections.abc import Callable, Mapping
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
from kitrec.ilora.training import begin, train
from kitrec.llm.base.loading import load_base, load_tokenizer
from kitrec.llm.base.pinning import PinnedBase
from kitrec.prompts.template import Item
from kitrec.prompts.tokens import Encoder
from kitrec.recommenders.sequence_fitting import carry_on
from kitrec.recommenders.sequence_storage import Stored
from kitrec.recommenders.sequence_training import Progress, Watcher


@dataclass(frozen=True)
class Given:
    """All that a teacher may learn from; `development` chooses when it knew most."""

    seed: int
    items: Mapping[str, Item]
    train: pl.DataFrame  # tasks
    development: pl.DataFrame
    work: Path


def learn(
    p: Ilora, base: PinnedBase, stored: Stored, given: Given, told: Callable[[Progress], None], to: Path
) -> Progress:
    """Train a teacher and store its best weights; a training that broke off goes on from its work folder."""
    teacher = new_teacher(p, load_base(base, p.base_weights), Eyes(stored), given.seed)
    writer = writer_for(teacher, Encoder(load_tokenizer(base)), given.items, p)
    lessons = lessons_of(given.train, writer, teacher.eyes)
    validation = lessons_of(given.development, writer, teacher.eyes)

    def go_on(watch: Watcher) -> None:
        train(training, teacher, lessons, validation, p.course, given.seed, watch)

    training = begin(teacher, p.course)
    fitted = carry_on(training, go_on, given.work, told)
    teacher.train(False)
    chosen = {name: round(value, 6) for name, value in fitted.told().items()}
    save_teacher(teacher, p, base, {**chosen, "tasks": len(lessons)}, to)
    return fitted.progress


def new_teacher(p: Ilora, loaded_base: Any, eyes: Eyes, seed: int) -> Teacher:
    """A teacher before its first update: its experts add nothing yet."""
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "teacher weights"))
        return Teacher(loaded_base, eyes, p.mixture)


def writer_for(teacher: Teacher, encoder: Encoder, items: Mapping[str, Item], p: Ilora) -> Writer:
    """Who writes this teacher's prompts."""
    return Writer(encoder, items, teacher.eyes.numbers if p.choice.hybrid else {}, teacher.words, p.choice)
