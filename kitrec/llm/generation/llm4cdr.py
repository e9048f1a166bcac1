"""LLM4CDR's first two steps: what links the domains (once per target), and what each reader is interested in."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from kitrec.llm.generation.params import Method
from kitrec.llm.generation.requests import Request
from kitrec.llm.generation.resumable import Generate, answer_all
from kitrec.prompts.llm4cdr import analysis_prompt, profile_prompt
from kitrec.prompts.params import Prompt
from kitrec.prompts.template import Item, Style
from kitrec.prompts.tokens import Encoder


def with_notes(
    records: pl.DataFrame,
    items: Mapping[str, Item],
    encoder: Encoder,
    method: Method,
    prompt: Prompt,
    generate: Generate,
    *,
    shard: int,
    work: Path,
) -> pl.DataFrame:
    """The records with a column `notes`: the analysis of their domains, and their reader's profile."""
    style = Style(thinking=method.thinking, answer_items=method.answer_items, summaries=prompt.summaries)

    def written(step: str, asked: Mapping[str, str]) -> dict[str, str]:
        requests = [Request(encoder.prompt(text, thinking=method.thinking), None) for text in asked.values()]
        answers = answer_all(
            step, list(asked), requests, generate, longest=prompt.max_length, shard=shard, work=work / step
        )
        return {name: _clean(text) for name, text in answers.select("record_id", "text").iter_rows()}

    analyses = written("analysis", {target: analysis_prompt(target) for target in sorted(set(records["target"]))})
    rows = list(records.iter_rows(named=True))
    profiles = written(
        "profile",
        {row["record_id"]: profile_prompt(row, items, style, analyses[row["target"]]) for row in rows},
    )
    notes = [[analyses[row["target"]], profiles[row["record_id"]]] for row in rows]
    return records.with_columns(notes=pl.Series(notes, dtype=pl.List(pl.String)))


def _clean(text: str | None) -> str:
    return (text or "").replace("<|im_end|>", "").strip()
