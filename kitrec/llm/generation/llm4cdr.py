"""The first two steps of LLM4CDR: the analysis of the domains (once per target) and the profile of each user."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from kitrec.core.domains import KITREC, Domains
from kitrec.llm.generation.params import Method
from kitrec.llm.generation.requests import Request
from kitrec.llm.generation.resumable import Generate, generate_answers
from kitrec.prompts.llm4cdr import analysis_prompt, profile_prompt
from kitrec.prompts.params import Prompt
from kitrec.prompts.shown_items import Item
from kitrec.prompts.template import Style
from kitrec.prompts.tokens import Encoder


def with_notes(
    records: pl.DataFrame,
    items: Mapping[str, Item],
    encoder: Encoder,
    method: Method,
    prompt: Prompt,
    generate: Generate,
    *,
    shard_size: int,
    work: Path,
    domains: Domains = KITREC,
) -> pl.DataFrame:
    """Return the records with a column `notes`: the analysis of their domains and the profile of their user."""
    style = Style(
        thinking=method.thinking, answer_items=method.answer_items, summaries=prompt.summaries, domains=domains
    )

    def generate_texts(step: str, prompts: Mapping[str, str]) -> dict[str, str]:
        requests = [Request(encoder.prompt(text, thinking=method.thinking), None) for text in prompts.values()]
        answers = generate_answers(
            step,
            list(prompts),
            requests,
            generate,
            max_length=prompt.max_length,
            shard_size=shard_size,
            work=work / step,
        )
        return {
            name: encoder.without_ends(text or "").strip()
            for name, text in answers.select("record_id", "text").iter_rows()
        }

    targets = sorted(set(records["target"]))
    analyses = generate_texts("analysis", {target: analysis_prompt(domains, target) for target in targets})
    rows = list(records.iter_rows(named=True))
    profiles = generate_texts(
        "profile",
        {row["record_id"]: profile_prompt(row, items, style, analyses[row["target"]]) for row in rows},
    )
    notes = [[analyses[row["target"]], profiles[row["record_id"]]] for row in rows]
    return records.with_columns(notes=pl.Series(notes, dtype=pl.List(pl.String)))
