"""Tasks as a teacher learns them: token ids of every row, and what the eyes saw of its reader."""

from dataclasses import dataclass

import polars as pl
import torch

from kitrec.ilora.prompts import Asked, Writer, sample_of
from kitrec.ilora.sequence_encoder import Eyes
from kitrec.llm.finetuning.dataset import Sample
from kitrec.schemas.teacher_lists import KEY


@dataclass(frozen=True)
class Lessons:
    """In the order of the tasks; `seen` [rows, d]."""

    samples: list[Sample]
    seen: torch.Tensor

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def lengths(self) -> list[int]:
        return [len(sample) for sample in self.samples]


@dataclass(frozen=True)
class Questions:
    """What a teacher is to answer, in the order of the tasks; `seen` [rows, d]."""

    asked: list[Asked]
    seen: torch.Tensor


def questions_of(tasks: pl.DataFrame, writer: Writer, eyes: Eyes) -> Questions:
    """Every row's prompt with its possible answers."""
    asked = [
        writer.ask(row["history"], row["candidates"], row["truth"])
        for row in tasks.select("history", "candidates", "truth").iter_rows(named=True)
    ]
    return Questions(asked, eyes.seen(tasks["history"].to_list()))


def lessons_of(tasks: pl.DataFrame, writer: Writer, eyes: Eyes) -> Lessons:
    """Every row's prompt with its true answer."""
    questions = questions_of(tasks, writer, eyes)
    keys = ("/".join(map(str, key)) for key in tasks.select(KEY).iter_rows())
    return Lessons([sample_of(own, key) for own, key in zip(questions.asked, keys, strict=True)], questions.seen)
