"""What the stages of a trained iLoRA teacher share: the teacher, who writes its prompts, and the items."""

from pathlib import Path
from typing import NamedTuple

import polars as pl

from kitrec.core import tables
from kitrec.ilora.learning import writer_for
from kitrec.ilora.prompts import Writer
from kitrec.ilora.sequence_encoder import Eyes
from kitrec.ilora.storage import load_teacher, params_of
from kitrec.ilora.teacher import Teacher
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import read_pinned
from kitrec.llm.base.precision import load_in
from kitrec.prompts.tokens import Encoder
from kitrec.recommenders.storage import load_model
from kitrec.schemas.items import ITEMS
from stages.lib import paths


class Trained(NamedTuple):
    """A stored teacher as it answers."""

    teacher: Teacher
    writer: Writer
    items: pl.DataFrame
    per_token: bool


def trained_teacher(folder: Path, eyes: Path) -> Trained:
    """The teacher of `folder`, that sees by the model of `eyes`."""
    base, p, items = read_pinned(), params_of(folder), tables.read(paths.ITEMS, ITEMS)
    teacher = load_teacher(folder, load_in(base, p.base_weights), base, Eyes(load_model(eyes)))
    known = {row["item_id"]: row for row in items.iter_rows(named=True)}
    return Trained(teacher, writer_for(teacher, Encoder(load_tokenizer(base)), known, p), items, p.per_token)
