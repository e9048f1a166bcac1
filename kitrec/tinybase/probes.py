"""Does the base read? It is asked as any model is asked, on rehearsal worlds it was never trained on.

A probe's answers are compared with the text-only oracle of the same lists (world/oracle.py): no reader of text can do
better on average."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from kitrec.core.randomness import generator
from kitrec.parsing.parser import Written, parse
from kitrec.prompts.template import Item, Style, segments
from kitrec.prompts.tokens import Encoder
from kitrec.synthetic.oracle import text_oracle_scores
from kitrec.tinybase.params import TinyBase
from kitrec.tinybase.rehearsal import rehearsal_records, rehearsal_world

HELD_OUT = 1_000_000  # the number of a rehearsal world that no training reaches
NEW_TOKENS = {True: 96, False: 12}  # enough to reach the id: after the thought, or at once
ROWS = 16


@dataclass(frozen=True)
class ProbeSet:
    """Records of a held-out rehearsal world, its items, and the text-only oracle's scores of every candidate."""

    records: pl.DataFrame
    items: Mapping[str, Item]
    oracle: list[list[float]]

    def oracle_hits(self) -> np.ndarray:
        """Per record the oracle's expected Hit@1: 1 / number of best candidates if the truth is one of them."""
        hits = []
        for truth, ids, scores in zip(
            self.records["gt_item_id"], self.records["candidate_ids"].to_list(), self.oracle, strict=True
        ):
            best = [item for item, score in zip(ids, scores, strict=True) if np.isclose(score, max(scores))]
            hits.append((truth in best) / len(best))
        return np.array(hits)


def held_out_probe_set(seed: int, p: TinyBase, candidates: int, users: int) -> ProbeSet:
    """`users` records of a held-out world (or all it has), with random lists of `candidates` items."""
    world = rehearsal_world(seed, HELD_OUT, p)
    records = rehearsal_records(seed, HELD_OUT, p, world, candidates)
    chosen = generator(seed, "exam users").permutation(records.height)[:users]
    records = records[np.sort(chosen).tolist()]
    items = {row["item_id"]: row for row in world.items.iter_rows(named=True)}
    return ProbeSet(records, items, text_oracle_scores(p.world, records, world.items, world.item_truth))


class ProbedModel:
    """A base, asked in transformers by greedy decoding in float32."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._encoder = Encoder(self._tokenizer)

    def answers(
        self, records: Sequence[Mapping[str, Any]], items: Mapping[str, Item], *, thinking: bool
    ) -> list[Written]:
        """What the base writes, one answer per record; a direct answer is read as soon as its id is complete."""
        style = Style(thinking=thinking, answer_items=1, summaries=True)
        prompts = [self._encoder.prompt(segments(r, items, style).text(), thinking=thinking) for r in records]
        texts = [
            text
            for start in range(0, len(prompts), ROWS)
            for text in self._write(prompts[start : start + ROWS], NEW_TOKENS[thinking])
        ]
        return [parse(_closed(text), record["candidate_ids"]) for text, record in zip(texts, records, strict=True)]

    @torch.inference_mode()
    def _write(self, prompts: list[list[int]], new_tokens: int) -> list[str]:
        batch = self._tokenizer.pad({"input_ids": prompts}, return_tensors="pt")
        end = self._encoder.end_of_turn
        done = self._model.generate(**batch, max_new_tokens=new_tokens, do_sample=False, eos_token_id=end)
        return self._tokenizer.batch_decode(done[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)


def _closed(text: str) -> str:
    """An answer cut off behind its id, closed to a whole JSON object; anything else stays as it is."""
    head, found, tail = text.rpartition('"item_id": "')
    item, quote, rest = tail.partition('"')
    return text if not (found and quote) or "}" in rest else f'{head}{found}{item}"}}'


def first_ids(answers: Sequence[Written]) -> list[str | None]:
    """The item each answer puts first."""
    return [answer.item_ids[0] if answer.item_ids else None for answer in answers]


def hit_at_1(answers: Sequence[Written], truths: Sequence[str]) -> float:
    """Share of answers that put the truth first."""
    return float(np.mean([named == truth for named, truth in zip(first_ids(answers), truths, strict=True)]))


def valid_share(answers: Sequence[Written]) -> float:
    """Share of answers whose first item is a candidate."""
    return float(np.mean([answer.status == "ok" and not answer.invalid_ids for answer in answers]))


def with_other_histories(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every record with the histories of the next one that has the same target; candidates stay."""
    changed = []
    for k, record in enumerate(records):
        order = [*records[k + 1 :], *records[:k]]
        other = next(r for r in order if r["target"] == record["target"])
        histories = ("source_items", "source_ratings", "target_items", "target_ratings")
        changed.append({**record, **{name: other[name] for name in histories}})
    return changed


def with_shuffled_candidates(records: Sequence[Mapping[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Every record with its candidates in another order."""
    return [
        {**r, "candidate_ids": generator(seed, "shuffle", r["record_id"]).permutation(r["candidate_ids"]).tolist()}
        for r in records
    ]
