"""The stored iLoRA teacher as several stages use it: with the builder of its prompts, and the items."""

from pathlib import Path
from typing import NamedTuple

import polars as pl

from kitrec.core import params, tables
from kitrec.ilora.prompts import PromptBuilder
from kitrec.ilora.sequence_encoder import SequenceEncoder
from kitrec.ilora.storage import load_teacher, params_of
from kitrec.ilora.teacher import Teacher, prompt_builder_for
from kitrec.llm.base.loading import load_base, load_tokenizer
from kitrec.llm.base.memory_plan import check_scoring
from kitrec.llm.base.pinning import read_pinned
from kitrec.prompts.tokens import Encoder
from kitrec.recommenders.storage import load_model
from kitrec.schemas.items import ITEMS
from kitrec.training.device import use_device
from kitrec.training.params import Trainer
from stages.lib import paths


class Trained(NamedTuple):
    """A stored teacher, ready to answer."""

    teacher: Teacher
    builder: PromptBuilder
    items: pl.DataFrame
    per_token: bool


def trained_teacher(folder: Path, encoder: Path) -> Trained:
    """Load the teacher of `folder` with the stored sequence model of `encoder`."""
    device = use_device(params.value(Trainer, "trainer.device"))
    base, p, items = read_pinned(), params_of(folder), tables.read(paths.ITEMS, ITEMS)
    check_scoring(base, p.base_weights, 1, p.mixture.rank)
    stored = SequenceEncoder(load_model(encoder, device))
    teacher = load_teacher(folder, load_base(base, p.base_weights), base, stored)
    items_by_id = {row["item_id"]: row for row in items.iter_rows(named=True)}
    builder = prompt_builder_for(teacher, Encoder(load_tokenizer(base)), items_by_id, p)
    return Trained(teacher, builder, items, p.per_token)
