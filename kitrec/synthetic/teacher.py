"""Template teacher: a thought and an answer for a training record, from the world's latent themes, without a model.

It names the most frequent themes of the histories, translates them into the target's words, and names the held-out
item."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import polars as pl

from kitrec.core.domains import KITREC
from kitrec.preprocessing.dataset import Dataset
from kitrec.synthetic.vocabulary import ThemeWords

THEMES_NAMED = 3
UNKNOWN = "Unknown"


class Teacher(Protocol):
    """Source of the outputs that models are fine-tuned on."""

    def explain(self, record: Mapping[str, Any]) -> str:
        """Return `<think>…</think>` and the fenced JSON answer."""


class TemplateTeacher:
    """Deterministic teacher of synthetic records: `<think>…</think>` and the fenced JSON answer."""

    def __init__(self, themes: ThemeWords, items: pl.DataFrame) -> None:
        self._words = themes
        self._theme_of = {word: k for words in themes.values() for k, word in enumerate(words)}
        self._items = {row["item_id"]: row for row in items.iter_rows(named=True)}

    def explain(self, record: Mapping[str, Any]) -> str:
        """Return the target output of a fine-tuned model for the record."""
        return f"<think>\n{self.thought(record)}\n</think>\n\n{self.answer(record)}"

    def thought(self, record: Mapping[str, Any]) -> str:
        """Return the themes in both domains' words, and the candidate they lead to."""
        return self.themes(record) + self.choice(self._items[record["gt_item_id"]])

    def themes(self, record: Mapping[str, Any]) -> str:
        """Return the frequent themes in both domains' words."""
        target, themes = record["target"], self.frequent_themes(record)
        source_words = ", ".join(self._words[KITREC.source][k] for k in themes)
        target_words = ", ".join(self._words[target][k] for k in themes)
        return f"{KITREC.label} themes: {source_words}\n{KITREC.labels[target]} themes: {target_words}"

    def choice(self, item: Mapping[str, Any]) -> str:
        """Return a candidate as the thought names it, its id first."""
        return choice_line(item)

    def answer(self, record: Mapping[str, Any]) -> str:
        """Return the fenced JSON object."""
        ground_truth, themes = self._items[record["gt_item_id"]], self.frequent_themes(record)
        shared = [k for k in self.themes_of(ground_truth) if k in themes]
        return fenced_answer(ground_truth, len(shared), self._rationale(shared, record["target"]))

    def themes_of(self, item: Mapping[str, Any]) -> list[int]:
        """Return the themes that the text of an item shows."""
        return [self._theme_of[word] for word in item["categories"]]

    def frequent_themes(self, record: Mapping[str, Any]) -> list[int]:
        """Return the most frequent themes of both histories; ties are broken by first occurrence."""
        history = [*record["source_items"], *record["target_items"]]
        counts = Counter(theme for item in history for theme in self.themes_of(self._items[item]))
        return [theme for theme, _ in counts.most_common(THEMES_NAMED)]

    def _rationale(self, shared: list[int], target: str) -> str:
        if not shared:
            return "A new theme for this reader."
        links = [f"{self._words[target][k]} follows {self._words[KITREC.source][k]}" for k in shared]
        return f"Here {' and '.join(links)}."


def choice_line(item: Mapping[str, Any]) -> str:
    """Return the end of a thought: the candidate it leads to, its id first."""
    return f" -> (ID: {item['item_id']}) {item['title'] or UNKNOWN} | {', '.join(item['categories']) or UNKNOWN}"


def fenced_answer(ground_truth: Mapping[str, Any], shared_themes: int, rationale: str) -> str:
    """Return the fenced JSON object; confidence grows with the number of shared themes."""
    answer = {
        "rank": 1,
        "item_id": ground_truth["item_id"],
        "title": ground_truth["title"] or UNKNOWN,
        "confidence_score": min(10, 5 + 2 * shared_themes),
        "rationale": rationale,
    }
    return f"```json\n{json.dumps(answer, ensure_ascii=False)}\n```"


def with_outputs(records: pl.DataFrame, teacher: Teacher) -> pl.DataFrame:
    """Return the records with the teacher's outputs."""
    outputs = [teacher.explain(record) for record in records.iter_rows(named=True)]
    return records.with_columns(pl.Series("output", outputs, dtype=pl.String))


def add_teacher_outputs(dataset: Dataset, teacher: Teacher) -> Dataset:
    """Return the data set with outputs for training and development records; preference and test records get none."""
    records = {
        candidate_set: {**roles, **{role: with_outputs(roles[role], teacher) for role in ("train", "development")}}
        for candidate_set, roles in dataset.records.items()
    }
    return replace(dataset, records=records)
