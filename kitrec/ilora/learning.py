"""From tables of tasks to a stored teacher."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch

from kitrec.core.randomness import derived_seed
from kitrec.ilora.dataset import training_dataset
from kitrec.ilora.params import Ilora
from kitrec.ilora.prompts import PromptBuilder
from kitrec.ilora.sequence_encoder import SequenceEncoder
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
    teacher = new_teacher(p, load_base(base, p.base_weights), SequenceEncoder(stored), given.seed)
    writer = prompt_builder_for(teacher, Encoder(load_tokenizer(base)), given.items, p)
    lessons = training_dataset(given.train, writer, teacher.sequence_encoder)
    validation = training_dataset(given.development, writer, teacher.sequence_encoder)

    def go_on(watch: Watcher) -> None:
        train(training, teacher, lessons, validation, p.training, given.seed, watch)

    training = begin(teacher, p.training)
    fitted = carry_on(training, go_on, given.work, told)
    teacher.train(False)
    chosen = {name: round(value, 6) for name, value in fitted.told().items()}
    save_teacher(teacher, p, base, {**chosen, "tasks": len(lessons)}, to)
    return fitted.progress


def new_teacher(p: Ilora, loaded_base: Any, encoder: SequenceEncoder, seed: int) -> Teacher:
    """A teacher before its first update: its experts add nothing yet."""
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "teacher weights"))
        return Teacher(loaded_base, encoder, p.mixture)


def prompt_builder_for(teacher: Teacher, encoder: Encoder, items: Mapping[str, Item], p: Ilora) -> PromptBuilder:
    """Who writes this teacher's prompts."""
    return PromptBuilder(
        encoder, items, teacher.sequence_encoder.item_numbers if p.prompt.hybrid else {}, teacher.vocab_size, p.prompt
    )
