"""Template teacher for real items: it names the frequent categories of the histories and those of the held-out item.

Real domains have no known cross-domain map, so the thought names categories of the books, then those of the target
history and of the held-out item."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from kitrec.core.domains import Domains
from kitrec.synthetic.teacher import THEMES_NAMED, UNKNOWN, choice_line, fenced_answer


class CategoryTeacher:
    """Deterministic teacher of real records: `<think>…</think>` and the fenced JSON answer."""

    def __init__(self, items: pl.DataFrame, domains: Domains) -> None:
        self._domains = domains
        columns = items.select("item_id", "title", "categories")
        self._items = {row["item_id"]: row for row in columns.iter_rows(named=True)}

    def explain(self, record: Mapping[str, Any]) -> str:
        """Return the target output of a fine-tuned model for the record."""
        ground_truth = self._items[record["gt_item_id"]]
        books, targets = self._frequent(record["source_items"]), self._frequent(record["target_items"])
        shared = [name for name in ground_truth["categories"] if name in (*books, *targets)]
        named = list(dict.fromkeys([*targets, *ground_truth["categories"]]))[:THEMES_NAMED]
        source, target = self._domains.label, self._domains.labels[record["target"]]
        themes = f"{source} themes: {_joined(books)}\n{target} themes: {_joined(named)}"
        rationale = f"It shares {_joined(shared)} with the history." if shared else "New ground for this reader."
        answer = fenced_answer(ground_truth, len(shared), rationale)
        return f"<think>\n{themes}{choice_line(ground_truth)}\n</think>\n\n{answer}"

    def _frequent(self, items: Sequence[str]) -> list[str]:
        """Return the most frequent categories of a history; ties are broken by first occurrence."""
        counts = Counter(name for item in items for name in self._items[item]["categories"])
        return [name for name, _ in counts.most_common(THEMES_NAMED)]


def _joined(names: Sequence[str]) -> str:
    return ", ".join(names) or UNKNOWN
