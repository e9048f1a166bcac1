"""A teacher for real items, without a network: it names what returns in the histories, and what the held-out item adds.

Real domains have no map that a template could know, so the thought names categories of the books, then those of the
target history and of the held-out item."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from kitrec.core.domains import LABELS, SOURCE
from kitrec.synthetic.teacher import THEMES_NAMED, UNKNOWN, choice_line, fenced_answer


class CategoryTeacher:
    """explain(record) -> `<think>…</think>` and the fenced JSON answer, deterministic."""

    def __init__(self, items: pl.DataFrame) -> None:
        columns = items.select("item_id", "title", "categories")
        self._items = {row["item_id"]: row for row in columns.iter_rows(named=True)}

    def explain(self, record: Mapping[str, Any]) -> str:
        """The output a fine-tuned model should give for the record."""
        truth = self._items[record["gt_item_id"]]
        books, seen = self._frequent(record["source_items"]), self._frequent(record["target_items"])
        shared = [name for name in truth["categories"] if name in (*books, *seen)]
        there, target = list(dict.fromkeys([*seen, *truth["categories"]]))[:THEMES_NAMED], LABELS[record["target"]]
        themes = f"{LABELS[SOURCE]} themes: {_listed(books)}\n{target} themes: {_listed(there)}"
        rationale = f"It shares {_listed(shared)} with the history." if shared else "New ground for this reader."
        return f"<think>\n{themes}{choice_line(truth)}\n</think>\n\n{fenced_answer(truth, len(shared), rationale)}"

    def _frequent(self, items: Sequence[str]) -> list[str]:
        """The commonest categories of a history, the oldest first among equals."""
        counts = Counter(name for item in items for name in self._items[item]["categories"])
        return [name for name, _ in counts.most_common(THEMES_NAMED)]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or UNKNOWN
