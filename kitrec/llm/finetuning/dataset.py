"""Training samples: the rendered turns of records, with labels on the answer alone."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.prompts.params import Prompt
from kitrec.prompts.styles import as_asked, style_of
from kitrec.prompts.template import Item, Style
from kitrec.prompts.tokens import Encoder
from kitrec.prompts.truncation import CUTS, Fitted, TooLongError, fit_for_training

IGNORED = -100


@dataclass(frozen=True)
class Sample:
    """Token ids of a turn, how many of them are the prompt, which is not learned, and the record behind it."""

    record: str
    ids: np.ndarray
    prompt: int

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Lesson:
    """The samples of a training or development table; what was cut of each prompt, how many candidates it shows."""

    samples: list[Sample]
    cuts: list[tuple[str, ...]]
    shown: list[int]

    def counts(self) -> dict[str, Any]:
        """How long the samples are, how much of them is learned, what share of the prompts was shortened how."""
        lengths = [len(sample) for sample in self.samples]
        cut = Counter(name for cuts in self.cuts for name in cuts)
        return {
            "samples": len(self.samples),
            "tokens": sum(lengths),
            "longest": max(lengths),
            "supervised_tokens": sum(len(sample) - sample.prompt for sample in self.samples),
            "shortened": {name: round(cut[name] / len(self.cuts), 4) for name in CUTS},
        }

    @property
    def candidates(self) -> int:
        """How many candidates most prompts show."""
        return Counter(self.shown).most_common(1)[0][0]


def training_samples(
    records: pl.DataFrame, items: Mapping[str, Item], encoder: Encoder, prompt: Prompt, *, thinking: bool, seed: int
) -> Lesson:
    """One sample per record: the prompt is masked, the whole output is learned and never shortened."""
    lesson, refused = Lesson([], [], []), []
    style = style_of(prompt, encoder, thinking=thinking)
    for record in records.iter_rows(named=True):
        try:
            fitted, answer = _turn(record, items, encoder, style, prompt.max_length, seed)
        except TooLongError as problem:
            refused.append(str(problem))
            continue
        ids = np.array(fitted.prompt + answer, dtype=np.int32)
        lesson.samples.append(Sample(record["record_id"], ids, len(fitted.prompt)))
        lesson.cuts.append(fitted.cuts)
        lesson.shown.append(len(fitted.shown))
    if refused:
        raise InputError(f"{len(refused)} training records do not fit prompt.max_length: {refused[0]}")
    return lesson


def _turn(
    record: Mapping[str, Any], items: Mapping[str, Item], encoder: Encoder, style: Style, longest: int, seed: int
) -> tuple[Fitted, list[int]]:
    """The prompt, and the answer in its style; any label is one token, so that the answer's length is known before."""

    def answer(shown: list[str]) -> list[int]:
        return encoder.answer(as_asked(record["output"], style, shown, record["gt_item_id"]), thinking=style.thinking)

    def prompt(text: str) -> list[int]:
        return encoder.prompt(text, thinking=style.thinking)

    rng = generator(seed, "shortened prompts", record["record_id"])
    room = longest - len(answer(record["candidate_ids"]))
    fitted = fit_for_training(record, items, style, room, prompt, rng)
    return fitted, answer(fitted.shown)


def once(make: Callable[[], Lesson], path: Path) -> Lesson:
    """The lesson kept at `path`, made and kept there the first time: a resumed run does not tokenise again."""
    if not path.exists():
        lesson = make()
        names, ids, prompts = zip(*((s.record, s.ids, s.prompt) for s in lesson.samples), strict=True)
        columns = {"record": names, "ids": ids, "prompt": prompts, "cuts": lesson.cuts, "shown": lesson.shown}
        schema = {"ids": pl.List(pl.Int32), "cuts": pl.List(pl.String)}
        with files.atomic(path) as draft:
            pl.DataFrame(columns, schema_overrides=schema).write_parquet(draft)
    rows = pl.read_parquet(path)
    ids = (row.to_numpy(writable=True) for row in rows["ids"])  # torch warns of read-only memory
    samples = [Sample(*row) for row in zip(rows["record"], ids, rows["prompt"], strict=True)]
    return Lesson(samples, [tuple(cuts) for cuts in rows["cuts"]], rows["shown"].to_list())


def pad(samples: Iterable[Sample], pad_id: int) -> dict[str, Any]:
    """A batch, padded on the right to its longest sample, where causal attention never looks: it needs no mask."""
    rows = list(samples)
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.full((len(rows), int(lengths.max())), pad_id)
    labels = torch.full_like(ids, IGNORED)
    for k, row in enumerate(rows):
        ids[k, : len(row)] = torch.from_numpy(row.ids)
        labels[k, row.prompt : len(row)] = ids[k, row.prompt : len(row)]
    return {"input_ids": ids, "labels": labels, "lengths": lengths, "records": [row.record for row in rows]}
