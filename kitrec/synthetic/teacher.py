"""The template teacher: a thought and an answer for a training record, from the world's truth, without a network.

It names the themes that return in the histories, says them in the target's words, and finds the held-out item."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import polars as pl

from kitrec.core.domains import LABELS, SOURCE
from kitrec.preprocessing.dataset import Dataset
from kitrec.synthetic.themes import ThemeWords

THEMES_NAMED = 3
UNKNOWN = "Unknown"


class Teacher(Protocol):
    """Whoever writes the outputs that training records are learned from."""

    def explain(self, record: Mapping[str, Any]) -> str:
        """`<think>…</think>` and the fenced JSON answer."""


class TemplateTeacher:
    """explain(record) -> `<think>…</think>` and the fenced JSON answer, deterministic."""

    def __init__(self, themes: ThemeWords, items: pl.DataFrame) -> None:
        self._words = themes
        self._theme_of = {word: k for words in themes.values() for k, word in enumerate(words)}
        self._items = {row["item_id"]: row for row in items.iter_rows(named=True)}

    def explain(self, record: Mapping[str, Any]) -> str:
        """The output a fine-tuned model should give for the record."""
        return f"<think>\n{self.thought(record)}\n</think>\n\n{self.answer(record)}"

    def thought(self, record: Mapping[str, Any]) -> str:
        """The themes in both domains' words, and the candidate they lead to."""
        return self.themes(record) + self.choice(self._items[record["gt_item_id"]])

    def themes(self, record: Mapping[str, Any]) -> str:
        """The themes in both domains' words."""
        target, liked = record["target"], self.liked(record)
        there = ", ".join(self._words[SOURCE][k] for k in liked)
        here = ", ".join(self._words[target][k] for k in liked)
        return f"{LABELS[SOURCE]} themes: {there}\n{LABELS[target]} themes: {here}"

    def choice(self, item: Mapping[str, Any]) -> str:
        """A candidate as the thought names it, its id first."""
        return choice_line(item)

    def answer(self, record: Mapping[str, Any]) -> str:
        """The fenced JSON object."""
        truth, liked = self._items[record["gt_item_id"]], self.liked(record)
        shared = [k for k in self.themes_of(truth) if k in liked]
        return fenced(truth, len(shared), self._rationale(shared, record["target"]))

    def themes_of(self, item: Mapping[str, Any]) -> list[int]:
        """The themes an item's text shows."""
        return [self._theme_of[word] for word in item["categories"]]

    def liked(self, record: Mapping[str, Any]) -> list[int]:
        """The themes met most often in both histories, the oldest meeting first among equals."""
        history = [*record["source_items"], *record["target_items"]]
        counts = Counter(theme for item in history for theme in self.themes_of(self._items[item]))
        return [theme for theme, _ in counts.most_common(THEMES_NAMED)]

    def _rationale(self, shared: list[int], target: str) -> str:
        if not shared:
            return "A new theme for this reader."
        links = [f"{self._words[target][k]} follows {self._words[SOURCE][k]}" for k in shared]
        return f"Here {' and '.join(links)}."


def choice_line(item: Mapping[str, Any]) -> str:
    """The end of a thought: the candidate it leads to, its id first."""
    return f" -> (ID: {item['item_id']}) {item['title'] or UNKNOWN} | {', '.join(item['categories']) or UNKNOWN}"


def fenced(truth: Mapping[str, Any], shared_themes: int, rationale: str) -> str:
    """The fenced JSON object; the more themes are shared, the surer."""
    answer = {
        "rank": 1,
        "item_id": truth["item_id"],
        "title": truth["title"] or UNKNOWN,
        "confidence_score": min(10, 5 + 2 * shared_themes),
        "rationale": rationale,
    }
    return f"```json\n{json.dumps(answer, ensure_ascii=False)}\n```"


def with_outputs(records: pl.DataFrame, teacher: Teacher) -> pl.DataFrame:
    """The records with the teacher's output filled in."""
    outputs = [teacher.explain(record) for record in records.iter_rows(named=True)]
    return records.with_columns(pl.Series("output", outputs, dtype=pl.String))


def add_teacher_outputs(dataset: Dataset, teacher: Teacher) -> Dataset:
    """The data set with outputs for its training and development records; preference and test records get none."""
    records = {
        which: {**own, **{role: with_outputs(own[role], teacher) for role in ("train", "development")}}
        for which, own in dataset.records.items()
    }
    return replace(dataset, records=records)
