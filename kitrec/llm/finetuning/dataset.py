"""Tokenised training samples: the rendered turns of records, with labels on the answer alone."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from kitrec.core import files
from kitrec.core.domains import KITREC, Domains
from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.prompts.params import Prompt
from kitrec.prompts.shown_items import Item
from kitrec.prompts.styles import learned_answer, prompt_style
from kitrec.prompts.template import Style
from kitrec.prompts.tokens import Encoder
from kitrec.prompts.truncation import CUTS, TooLongError, TruncatedPrompt, truncate_for_training

IGNORE_INDEX = -100


@dataclass(frozen=True)
class Sample:
    """Token ids of a turn, the length of its prompt, which is not learned, and the id of its record."""

    record_id: str
    ids: np.ndarray
    prompt_length: int

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class TokenizedDataset:
    """The samples of a table; for each, what was cut from its prompt and how many candidates it shows."""

    samples: list[Sample]
    cuts: list[tuple[str, ...]]
    shown: list[int]

    def statistics(self) -> dict[str, Any]:
        """Return the number of samples and tokens, and the share of prompts shortened by each kind of cut."""
        lengths = [len(sample) for sample in self.samples]
        shortened = Counter(kind for cuts in self.cuts for kind in cuts)
        return {
            "samples": len(self.samples),
            "tokens": sum(lengths),
            "longest": max(lengths),
            "supervised_tokens": sum(len(sample) - sample.prompt_length for sample in self.samples),
            "shortened": {kind: round(shortened[kind] / len(self.cuts), 4) for kind in CUTS},
        }

    @property
    def candidates(self) -> int:
        """The number of candidates that most prompts show."""
        return Counter(self.shown).most_common(1)[0][0]


def tokenize_records(
    records: pl.DataFrame,
    items: Mapping[str, Item],
    encoder: Encoder,
    prompt: Prompt,
    *,
    thinking: bool,
    seed: int,
    domains: Domains = KITREC,
) -> TokenizedDataset:
    """Return one sample per record: the prompt is masked, the whole output is learned and never shortened."""
    dataset, errors = TokenizedDataset([], [], []), []
    style = prompt_style(prompt, encoder, thinking=thinking, domains=domains)
    for record in records.iter_rows(named=True):
        try:
            truncated, answer = _turn(record, items, encoder, style, prompt.max_length, seed)
        except TooLongError as problem:
            errors.append(str(problem))
            continue
        ids = np.array(truncated.prompt + answer, dtype=np.int32)
        dataset.samples.append(Sample(record["record_id"], ids, len(truncated.prompt)))
        dataset.cuts.append(truncated.cuts)
        dataset.shown.append(len(truncated.candidates))
    if errors:
        raise InputError(f"{len(errors)} training records do not fit prompt.max_length: {errors[0]}")
    return dataset


def _turn(
    record: Mapping[str, Any], items: Mapping[str, Item], encoder: Encoder, style: Style, max_length: int, seed: int
) -> tuple[TruncatedPrompt, list[int]]:
    """Return the prompt and the answer; any label is one token, so the answer's length is known beforehand."""

    def answer(candidates: list[str]) -> list[int]:
        output = learned_answer(record["output"], style, record, items, candidates, record["gt_item_id"])
        return encoder.answer(output, thinking=style.thinking)

    def prompt(text: str) -> list[int]:
        return encoder.prompt(text, thinking=style.thinking)

    rng = generator(seed, "shortened prompts", record["record_id"])
    max_tokens = max_length - len(answer(record["candidate_ids"]))
    truncated = truncate_for_training(record, items, style, max_tokens, prompt, rng)
    return truncated, answer(truncated.candidates)


def cached_dataset(tokenize: Callable[[], TokenizedDataset], path: Path) -> TokenizedDataset:
    """Read the dataset kept at `path`, or tokenise and keep it: a resumed run does not tokenise again."""
    if not path.exists():
        dataset = tokenize()
        record_ids, ids, lengths = zip(*((s.record_id, s.ids, s.prompt_length) for s in dataset.samples), strict=True)
        columns = {"record_id": record_ids, "ids": ids, "prompt_length": lengths}
        columns |= {"cuts": dataset.cuts, "shown": dataset.shown}
        schema = {"ids": pl.List(pl.Int32), "cuts": pl.List(pl.String)}
        with files.atomic(path) as draft:
            pl.DataFrame(columns, schema_overrides=schema).write_parquet(draft)
    rows = pl.read_parquet(path)
    arrays = (row.to_numpy(writable=True) for row in rows["ids"])  # torch warns of read-only memory
    samples = [Sample(*row) for row in zip(rows["record_id"], arrays, rows["prompt_length"], strict=True)]
    return TokenizedDataset(samples, [tuple(cuts) for cuts in rows["cuts"]], rows["shown"].to_list())


def collate(samples: Iterable[Sample], pad_id: int) -> dict[str, Any]:
    """Return a batch padded on the right, where causal attention never looks, so that it needs no mask."""
    rows = list(samples)
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.full((len(rows), int(lengths.max())), pad_id)
    labels = torch.full_like(ids, IGNORE_INDEX)
    for k, row in enumerate(rows):
        ids[k, : len(row)] = torch.from_numpy(row.ids)
        labels[k, row.prompt_length : len(row)] = ids[k, row.prompt_length : len(row)]
    record_ids = [row.record_id for row in rows]
    return {"input_ids": ids, "labels": labels, "lengths": lengths, "record_ids": record_ids}
