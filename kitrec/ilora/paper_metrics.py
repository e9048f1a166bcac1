"""A teacher before test records, as the papers examine it: what it finds likeliest, and what it writes.

The papers show 20 candidates (LLaRA's loader: the next item and 19 others), the pipeline all of a record's; a shorter
list is the record's own, cut to the truth and the first others it shows. All candidates are scored where the teacher
ranks the test, so here only the shorter lists are."""

from typing import Any

import numpy as np
import polars as pl

from kitrec.core.tables import Table
from kitrec.ilora.dataset import questions_of
from kitrec.ilora.hit_ratio import scored_ratio, written_ratios
from kitrec.ilora.prompts import Writer
from kitrec.ilora.scoring import likelihoods, written
from kitrec.ilora.teacher import Teacher
from kitrec.schemas.teacher_lists import KEY

LISTED = 20  # candidates in the papers' protocol

EXAMINED = Table(
    "examined",
    {
        "user_id": pl.String,
        "target": pl.String,
        "seen": pl.Int32,
        "scores": pl.List(pl.Float64),  # of the candidates, in their shown order
        "written": pl.String,
    },
    key=KEY,
    nullable=frozenset({"scores"}),
)


def shorter(tasks: pl.DataFrame, count: int) -> pl.DataFrame:
    """The same tasks with the truth and the first `count` - 1 others of each list, in the order they had."""
    found = []
    for truth, listed in tasks.select("truth", "candidates").iter_rows():
        kept = {truth, *[item for item in listed if item != truth][: count - 1]}
        found.append([item for item in listed if item in kept])
    return tasks.with_columns(candidates=pl.Series(found, dtype=pl.List(pl.String)))


def examine(
    teacher: Teacher, writer: Writer, tokenizer: Any, tasks: pl.DataFrame, *, scored: bool, per_token: bool
) -> pl.DataFrame:
    """An EXAMINED table: what the teacher writes by itself, and if asked how likely every candidate is."""
    questions, values = questions_of(tasks, writer, teacher.eyes), [None] * tasks.height
    if scored:
        values = [own.tolist() for own in likelihoods(teacher, questions, per_token=per_token)]
    return tasks.select(*KEY).with_columns(
        pl.Series("scores", values, dtype=pl.List(pl.Float64)),
        pl.Series("written", written(teacher, questions, tokenizer), dtype=pl.String),
    )


def ratios(examined: pl.DataFrame, tasks: pl.DataFrame, writer: Writer) -> dict[str, float]:
    """HitRatio@1 and ValidRatio of what was written, HitRatio@1 of what was scored (if it was), over all tasks."""
    listed = tasks["candidates"].to_list()
    truths = [own.index(truth) for own, truth in zip(listed, tasks["truth"], strict=True)]
    names = [[writer.name(item) for item in own] for own in listed]
    found = written_ratios(examined["written"].to_list(), names, truths)
    if not examined["scores"].null_count():
        found["hit_ratio@1_scored"] = scored_ratio([np.array(own) for own in examined["scores"].to_list()], truths)
    return {name: round(value, 6) for name, value in found.items()} | {"samples": tasks.height}
