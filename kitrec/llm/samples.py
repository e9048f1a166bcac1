"""Training samples: the rendered turns of records, with labels on the answer alone."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
import torch

from kitrec.errors import InputError
from kitrec.prompts.fitting import CUTS, Fitted, TooLongError, fit_for_training
from kitrec.prompts.params import Prompt
from kitrec.prompts.template import Item, Style
from kitrec.prompts.tokens import Encoder
from kitrec.randomness import generator

IGNORED = -100
Sample = dict[str, Any]  # input_ids, labels, and the record they come from


@dataclass(frozen=True)
class Lesson:
    """The samples of a training or development table, and what had to be cut to make them fit."""

    samples: list[Sample]
    fitted: list[Fitted]

    def counts(self) -> dict[str, Any]:
        """How long the samples are, how much of them is learned, what share of the prompts was shortened how."""
        lengths = [len(s["input_ids"]) for s in self.samples]
        learned = sum(label != IGNORED for s in self.samples for label in s["labels"])
        cut = Counter(name for fitted in self.fitted for name in fitted.cuts)
        return {
            "samples": len(self.samples),
            "tokens": sum(lengths),
            "longest": max(lengths),
            "supervised_tokens": learned,
            "shortened": {name: round(cut[name] / len(self.fitted), 4) for name in CUTS},
        }

    @property
    def candidates(self) -> int:
        """How many candidates most prompts show."""
        return Counter(fitted.candidates for fitted in self.fitted).most_common(1)[0][0]


def training_samples(
    records: pl.DataFrame, items: Mapping[str, Item], encoder: Encoder, prompt: Prompt, *, thinking: bool, seed: int
) -> Lesson:
    """One sample per record: the prompt is masked, the whole output is learned and never shortened."""
    style = Style(thinking=thinking, answer_items=1, summaries=prompt.summaries)
    lesson, refused = Lesson([], []), []
    for record in records.iter_rows(named=True):
        answer = encoder.answer(record["output"], thinking=thinking)
        rng = generator(seed, "shortened prompts", record["record_id"])
        room = prompt.max_length - len(answer)
        try:
            fitted = fit_for_training(record, items, style, room, lambda t: encoder.prompt(t, thinking=thinking), rng)
        except TooLongError as problem:
            refused.append(str(problem))
            continue
        lesson.fitted.append(fitted)
        labels = [IGNORED] * len(fitted.prompt) + answer
        lesson.samples.append({"input_ids": fitted.prompt + answer, "labels": labels, "record": record["record_id"]})
    if refused:
        raise InputError(f"{len(refused)} training records do not fit prompt.max_length: {refused[0]}")
    return lesson


def pad(samples: Iterable[Sample], pad_id: int) -> dict[str, Any]:
    """A batch, padded on the right to its longest sample, where causal attention never looks: it needs no mask."""
    rows = list(samples)
    longest = max(len(row["input_ids"]) for row in rows)

    def filled(key: str, fill: int) -> torch.Tensor:
        return torch.tensor([row[key] + [fill] * (longest - len(row[key])) for row in rows])

    records = [row["record"] for row in rows]
    return {"input_ids": filled("input_ids", pad_id), "labels": filled("labels", IGNORED), "records": records}
