"""Probes of the base's reading ability, on rehearsal worlds it was never trained on.

Answers are compared with the text-only oracle of the same lists (synthetic/oracle.py), the upper bound on average of
all models that see text alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from kitrec.core.randomness import generator
from kitrec.parsing.parser import ParsedAnswer, parse
from kitrec.prompts.shown_items import Item
from kitrec.prompts.template import Style, segments
from kitrec.prompts.tokens import Encoder
from kitrec.synthetic.oracle import text_oracle_scores
from kitrec.tinybase.params import TinyBase
from kitrec.tinybase.rehearsal import rehearsal_records, rehearsal_world

HELD_OUT = 1_000_000  # number of a rehearsal world beyond those of the training
NEW_TOKENS = {True: 96, False: 12}  # enough to reach the id: after the thought, or at once
BATCH_SIZE = 16


@dataclass(frozen=True)
class ProbeSet:
    """Records of a held-out rehearsal world, its items, and the text-only oracle's scores of all candidates."""

    records: pl.DataFrame
    items: Mapping[str, Item]
    oracle: list[list[float]]

    def oracle_hits(self) -> np.ndarray:
        """Return the oracle's expected Hit@1 per record: 1 / number of best candidates if the ground truth is one."""
        hits = []
        for ground_truth, ids, scores in zip(
            self.records["gt_item_id"], self.records["candidate_ids"].to_list(), self.oracle, strict=True
        ):
            best = [item for item, score in zip(ids, scores, strict=True) if np.isclose(score, max(scores))]
            hits.append((ground_truth in best) / len(best))
        return np.array(hits)


def held_out_probe_set(seed: int, p: TinyBase, candidates: int, users: int) -> ProbeSet:
    """Return `users` records of a held-out world (or all of them), with random lists of `candidates` items."""
    world = rehearsal_world(seed, HELD_OUT, p)
    records = rehearsal_records(seed, HELD_OUT, p, world, candidates)
    chosen = generator(seed, "exam users").permutation(records.height)[:users]
    records = records[np.sort(chosen).tolist()]
    items = {row["item_id"]: row for row in world.items.iter_rows(named=True)}
    return ProbeSet(records, items, text_oracle_scores(p.world, records, world.items, world.item_truth))


class ProbedModel:
    """The base in transformers, with greedy decoding in float32."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._encoder = Encoder(self._tokenizer)

    def answers(
        self, records: Sequence[Mapping[str, Any]], items: Mapping[str, Item], *, thinking: bool
    ) -> list[ParsedAnswer]:
        """Generate one answer per record; without thinking, generation ends as soon as the id is complete."""
        style = Style(thinking=thinking, answer_items=1, summaries=True)
        prompts = [self._encoder.prompt(segments(r, items, style).text(), thinking=thinking) for r in records]
        texts = [
            text
            for start in range(0, len(prompts), BATCH_SIZE)
            for text in self._generate(prompts[start : start + BATCH_SIZE], NEW_TOKENS[thinking])
        ]
        return [
            parse(_complete_json(text), record["candidate_ids"]) for text, record in zip(texts, records, strict=True)
        ]

    @torch.inference_mode()
    def _generate(self, prompts: list[list[int]], new_tokens: int) -> list[str]:
        batch = self._tokenizer.pad({"input_ids": prompts}, return_tensors="pt")
        end = self._encoder.end_of_turn
        generated = self._model.generate(**batch, max_new_tokens=new_tokens, do_sample=False, eos_token_id=end)
        return self._tokenizer.batch_decode(generated[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)


def _complete_json(text: str) -> str:
    """Complete an answer that was cut off after its id to a JSON object; return any other text unchanged."""
    head, key, tail = text.rpartition('"item_id": "')
    item, quote, rest = tail.partition('"')
    return text if not (key and quote) or "}" in rest else f'{head}{key}{item}"}}'


def first_ids(answers: Sequence[ParsedAnswer]) -> list[str | None]:
    """Return the first item of each answer."""
    return [answer.item_ids[0] if answer.item_ids else None for answer in answers]


def hit_at_1(answers: Sequence[ParsedAnswer], ground_truths: Sequence[str]) -> float:
    """Return the share of answers with the ground truth first."""
    pairs = zip(first_ids(answers), ground_truths, strict=True)
    return float(np.mean([first == ground_truth for first, ground_truth in pairs]))


def valid_share(answers: Sequence[ParsedAnswer]) -> float:
    """Return the share of answers whose first item is a candidate."""
    return float(np.mean([answer.status == "ok" and not answer.invalid_ids for answer in answers]))


def with_other_histories(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Replace the histories of every record by those of the next record with the same target; candidates stay."""
    with_other = []
    for k, record in enumerate(records):
        order = [*records[k + 1 :], *records[:k]]
        other = next(r for r in order if r["target"] == record["target"])
        histories = ("source_items", "source_ratings", "target_items", "target_ratings")
        with_other.append({**record, **{name: other[name] for name in histories}})
    return with_other


def with_shuffled_candidates(records: Sequence[Mapping[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Shuffle the candidates of every record."""
    return [
        {**r, "candidate_ids": generator(seed, "shuffle", r["record_id"]).permutation(r["candidate_ids"]).tolist()}
        for r in records
    ]
