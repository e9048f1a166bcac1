"""The stored iLoRA teacher as several stages use it: with the builder of its prompts, and the items."""

import gc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import polars as pl

from kitrec.core import params, tables
from kitrec.core.shards import by_slice, compute_in_shards
from kitrec.ilora.export import SHARD_SIZE, rank_candidates
from kitrec.ilora.folds import RowsOfTeacher
from kitrec.ilora.params import Tasks
from kitrec.ilora.prompts import PromptBuilder
from kitrec.ilora.sequence_encoder import SequenceEncoder
from kitrec.ilora.storage import load_teacher, params_of
from kitrec.ilora.teacher import Teacher, prompt_builder_for
from kitrec.ilora.user_tasks import with_top_candidates
from kitrec.llm.base.loading import load_base, load_tokenizer
from kitrec.llm.base.memory_plan import check_scoring
from kitrec.llm.base.pinning import read_pinned
from kitrec.prompts.tokens import Encoder
from kitrec.recommenders.storage import load_model
from kitrec.schemas.items import ITEMS
from kitrec.schemas.teacher_lists import TEACHER_LISTS
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


def list_steps(rows: RowsOfTeacher, p: Tasks, seed: int, work: Path, advance: Callable[[int], None]) -> pl.DataFrame:
    """Return the TEACHER_LISTS table of rows by their teacher, among its sequence model's best items."""
    trained = trained_teacher(rows.teacher, rows.encoder)
    encoder = trained.teacher.sequence_encoder
    steps = with_top_candidates(rows.tasks, encoder, trained.items, count=p.candidates, seed=seed)
    rank = partial(rank_candidates, trained.teacher, builder=trained.builder, topk=p.topk, per_token=trained.per_token)
    lists = compute_in_shards(steps.height, SHARD_SIZE, work / rows.name, TEACHER_LISTS, by_slice(steps, rank), advance)
    del trained, encoder, rank
    gc.collect()  # one base in memory at a time
    return lists
