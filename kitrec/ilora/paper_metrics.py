"""The papers' evaluation of a teacher on test records: candidate scores and freely generated answers.

The papers show 20 candidates (LLaRA's loader: the next item and 19 others), the pipeline all of a record's; a shortened
list keeps the ground truth and the first others of the record's own. `infer_teacher` already scores all candidates, so
only shortened lists are scored here."""

from typing import Any

import numpy as np
import polars as pl

from kitrec.core.tables import Table
from kitrec.ilora.dataset import scoring_dataset
from kitrec.ilora.hit_ratio import generated_hit_ratio, scored_hit_ratio
from kitrec.ilora.prompts import PromptBuilder
from kitrec.ilora.scoring import generate, log_likelihoods
from kitrec.ilora.teacher import Teacher
from kitrec.schemas.teacher_lists import KEY

PAPER_CANDIDATES = 20

TEACHER_ANSWERS = Table(
    "teacher_answers",
    {
        "user_id": pl.String,
        "target": pl.String,
        "prefix_length": pl.Int32,
        "scores": pl.List(pl.Float64),  # of the candidates, in the order shown
        "text": pl.String,
    },
    key=KEY,
    nullable=frozenset({"scores"}),
)


def shorten_candidates(tasks: pl.DataFrame, count: int) -> pl.DataFrame:
    """Reduce every list to the ground truth and its first `count` - 1 others, in their order."""
    shortened = []
    for ground_truth, candidates in tasks.select("ground_truth", "candidates").iter_rows():
        kept = {ground_truth, *[item for item in candidates if item != ground_truth][: count - 1]}
        shortened.append([item for item in candidates if item in kept])
    return tasks.with_columns(candidates=pl.Series(shortened, dtype=pl.List(pl.String)))


def answer_tasks(
    teacher: Teacher, builder: PromptBuilder, tokenizer: Any, tasks: pl.DataFrame, *, scored: bool, per_token: bool
) -> pl.DataFrame:
    """Return a TEACHER_ANSWERS table: generated answers and, if `scored`, the log-likelihood of every candidate."""
    dataset, scores = scoring_dataset(tasks, builder, teacher.sequence_encoder), [None] * tasks.height
    if scored:
        scores = [values.tolist() for values in log_likelihoods(teacher, dataset, per_token=per_token)]
    return tasks.select(*KEY).with_columns(
        pl.Series("scores", scores, dtype=pl.List(pl.Float64)),
        pl.Series("text", generate(teacher, dataset, tokenizer), dtype=pl.String),
    )


def hit_ratios(answers: pl.DataFrame, tasks: pl.DataFrame, builder: PromptBuilder) -> dict[str, float]:
    """Return HitRatio@1 and ValidRatio of the generated answers and, if there are scores, HitRatio@1 of those."""
    lists = tasks["candidates"].to_list()
    ground_truths = [candidates.index(item) for candidates, item in zip(lists, tasks["ground_truth"], strict=True)]
    names = [[builder.answer_text(item) for item in candidates] for candidates in lists]
    metrics = generated_hit_ratio(answers["text"].to_list(), names, ground_truths)
    if not answers["scores"].null_count():
        scores = [np.array(values) for values in answers["scores"].to_list()]
        metrics["hit_ratio@1_scored"] = scored_hit_ratio(scores, ground_truths)
    return {name: round(value, 6) for name, value in metrics.items()} | {"samples": tasks.height}
