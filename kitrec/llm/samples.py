"""Training samples: the rendered turns of records, with labels on the answer alone."""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl
import torch

from kitrec.errors import InputError
from kitrec.prompts.params import Prompt
from kitrec.prompts.template import Item, Style, segments
from kitrec.prompts.tokens import Encoder

IGNORED = -100
Sample = dict[str, list[int]]


def training_samples(
    records: pl.DataFrame, items: Mapping[str, Item], encoder: Encoder, prompt: Prompt, *, thinking: bool
) -> list[Sample]:
    """One sample per record: the prompt is masked, the whole output is learned."""
    style = Style(thinking=thinking, answer_items=1, summaries=prompt.summaries)
    samples, too_long = [], []
    for record in records.iter_rows(named=True):
        question = encoder.prompt(segments(record, items, style).text(), thinking=thinking)
        answer = encoder.answer(record["output"], thinking=thinking)
        if len(question) + len(answer) > prompt.max_length:
            too_long.append((len(question) + len(answer), record["record_id"]))
        samples.append({"input_ids": question + answer, "labels": [IGNORED] * len(question) + answer})
    if too_long:
        length, worst = max(too_long)
        raise InputError(
            f"prompt.max_length: {len(too_long)} training records are longer than {prompt.max_length} tokens "
            f"(the longest, {worst}, has {length}): raise it to {length}"
        )
    return samples


def pad(samples: Iterable[Sample], pad_id: int) -> dict[str, torch.Tensor]:
    """A batch, padded on the right to its longest sample, where causal attention never looks: it needs no mask."""
    rows = list(samples)
    longest = max(len(row["input_ids"]) for row in rows)

    def filled(key: str, fill: int) -> torch.Tensor:
        return torch.tensor([row[key] + [fill] * (longest - len(row[key])) for row in rows])

    return {"input_ids": filled("input_ids", pad_id), "labels": filled("labels", IGNORED)}


def token_counts(samples: list[Sample]) -> dict[str, Any]:
    """How long the samples are and how much of them is learned."""
    lengths = [len(s["input_ids"]) for s in samples]
    learned = sum(label != IGNORED for s in samples for label in s["labels"])
    return {"samples": len(samples), "tokens": sum(lengths), "longest": max(lengths), "supervised_tokens": learned}
