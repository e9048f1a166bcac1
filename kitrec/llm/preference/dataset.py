"""What preferences are learned from, as token ids by the same road as training samples."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.prompts.params import Prompt
from kitrec.prompts.styles import as_asked, style_of
from kitrec.prompts.template import Item
from kitrec.prompts.tokens import Encoder
from kitrec.prompts.truncation import fit_for_training

Pair = dict[str, list[int]]  # prompt_ids, chosen_ids, rejected_ids
Asked = dict[str, Any]  # prompt (ids), truth (the held-out item's id), candidates (ids of the items shown)


def preference_pairs(
    records: pl.DataFrame,
    pairs: pl.DataFrame,
    items: Mapping[str, Item],
    encoder: Encoder,
    prompt: Prompt,
    *,
    seed: int,
) -> list[Pair]:
    """One pair per record: its prompt, the output that names the truth, the one that names a hard negative.

    Both outputs fit into prompt.max_length with the prompt; the candidate to be rejected may have been cut from a
    prompt that was shortened, so such a pair is left out."""
    style = style_of(prompt, encoder, thinking=True)
    found = []
    for record in records.join(pairs, on="record_id", validate="1:1").iter_rows(named=True):
        told = {name: record[f"{name}_output"] for name in ("chosen", "rejected")}
        shown = record["candidate_ids"]
        texts = [as_asked(output, style, shown, record[name]) for name, output in told.items()]
        outputs = [encoder.answer(text, thinking=True) for text in texts]
        rng = generator(seed, "shortened prompts", record["record_id"])
        room = prompt.max_length - max(map(len, outputs))
        fitted = fit_for_training(record, items, style, room, lambda text: encoder.prompt(text, thinking=True), rng)
        if "candidates" not in fitted.cuts:
            found.append({"prompt_ids": fitted.prompt, "chosen_ids": outputs[0], "rejected_ids": outputs[1]})
    if not found:
        raise InputError("no preference pair fits whole into prompt.max_length: raise it, or users.preference")
    return found


def asked_prompts(
    records: pl.DataFrame, items: Mapping[str, Item], encoder: Encoder, prompt: Prompt, *, answer: int, seed: int
) -> list[Asked]:
    """One prompt per record, with room for an `answer` of so many tokens."""
    style = style_of(prompt, encoder, thinking=True)
    found = []
    for record in records.iter_rows(named=True):
        rng = generator(seed, "shortened prompts", record["record_id"])
        room = prompt.max_length - answer
        fitted = fit_for_training(record, items, style, room, lambda text: encoder.prompt(text, thinking=True), rng)
        named = {"truth": record["gt_item_id"], "candidates": fitted.shown}
        found.append({"prompt": fitted.prompt, **named})
    return found
