"""Preference pairs and reward prompts, as token ids rendered exactly like training samples."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from kitrec.core.domains import KITREC, Domains
from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.prompts.params import Prompt
from kitrec.prompts.shown_items import Item
from kitrec.prompts.styles import learned_answer, prompt_style
from kitrec.prompts.tokens import Encoder
from kitrec.prompts.truncation import truncate_for_training

Pair = dict[str, list[int]]  # prompt_ids, chosen_ids, rejected_ids
RewardPrompt = dict[str, Any]  # prompt (ids), ground_truth (the held-out item's id), candidates (ids of those shown)


def preference_pairs(
    records: pl.DataFrame,
    pairs: pl.DataFrame,
    items: Mapping[str, Item],
    encoder: Encoder,
    prompt: Prompt,
    *,
    seed: int,
    domains: Domains = KITREC,
) -> list[Pair]:
    """Return a record's prompt, the output that names the held-out item, and the one that names a hard negative.

    Both outputs fit into prompt.max_length with the prompt; a prompt that lost candidates may no longer show the one to
    be rejected, so its pair is left out."""
    style = prompt_style(prompt, encoder, thinking=True, domains=domains)
    dataset = []
    if not pairs.join(records, on="record_id", how="semi").height:
        raise InputError(
            f"preference.method: dpo has no pairs, since none of the {records.height} preference records has an output "
            "of its own (KitREC's validation rows have none), and texts of another style would teach that style; set "
            "preference.method to grpo, which needs no outputs"
        )
    for record in records.join(pairs, on="record_id", validate="1:1").iter_rows(named=True):
        candidates = record["candidate_ids"]
        texts = [
            learned_answer(record[f"{name}_output"], style, record, items, candidates, record[name])
            for name in ("chosen", "rejected")
        ]
        outputs = [encoder.answer(text, thinking=True) for text in texts]
        rng = generator(seed, "shortened prompts", record["record_id"])
        max_tokens = prompt.max_length - max(map(len, outputs))
        truncated = truncate_for_training(
            record, items, style, max_tokens, lambda text: encoder.prompt(text, thinking=True), rng
        )
        if "candidates" not in truncated.cuts:
            dataset.append({"prompt_ids": truncated.prompt, "chosen_ids": outputs[0], "rejected_ids": outputs[1]})
    if not dataset:
        raise InputError("no preference pair fits whole into prompt.max_length: raise it, or users.preference")
    return dataset


def reward_prompts(
    records: pl.DataFrame,
    items: Mapping[str, Item],
    encoder: Encoder,
    prompt: Prompt,
    *,
    max_new_tokens: int,
    seed: int,
    domains: Domains = KITREC,
) -> list[RewardPrompt]:
    """Return one prompt per record, with room for an answer of `max_new_tokens`."""
    style = prompt_style(prompt, encoder, thinking=True, domains=domains)
    dataset = []
    for record in records.iter_rows(named=True):
        rng = generator(seed, "shortened prompts", record["record_id"])
        max_tokens = prompt.max_length - max_new_tokens
        truncated = truncate_for_training(
            record, items, style, max_tokens, lambda text: encoder.prompt(text, thinking=True), rng
        )
        shown = {"ground_truth": record["gt_item_id"], "candidates": truncated.candidates}
        dataset.append({"prompt": truncated.prompt, **shown})
    return dataset
