"""Template teacher that says what is true of a record, in KitREC's form; every sentence can be checked.

A record of which nothing is known says so. `check_outputs` measures the share of statements that hold, from the tables
alone: titles are compared again and users counted again, without what the teacher remembers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from kitrec.sources.evidence import Evidence, Statement, parse_statement, sentences, shown_title
from kitrec.sources.title_links import holds_words, main_words, series_names, title_words
from kitrec.synthetic.teacher import choice_line, fenced_answer


class EvidenceTeacher:
    """Deterministic teacher of real records: `<think>…</think>` and the fenced JSON answer."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence

    def explain(self, record: Mapping[str, Any]) -> str:
        """Return the target output of a fine-tuned model for the record."""
        statements = self._evidence.statements(record)
        return written_output(self._evidence.items[record["gt_item_id"]], statements, statements[0].text)


def written_output(item: Mapping[str, Any], statements: Sequence[Statement], rationale: str) -> str:
    """Return an output in KitREC's form; confidence grows with the number of statements that link item and history."""
    links = sum(statement.kind != "none" for statement in statements)
    thought = "\n".join(statement.text for statement in statements)
    return f"<think>\n{thought}{choice_line(item)}\n</think>\n\n{fenced_answer(item, links, rationale)}"


def outputs(records: pl.DataFrame, items: pl.DataFrame, training_history: pl.DataFrame) -> pl.Series:
    """Return the outputs of records; `training_history` holds (user_id, item_id) of training users' histories."""
    teacher = EvidenceTeacher(Evidence(items, training_history))
    return pl.Series("output", [teacher.explain(record) for record in records.iter_rows(named=True)], dtype=pl.String)


def check_outputs(records: pl.DataFrame, items: pl.DataFrame, training_history: pl.DataFrame) -> dict[str, Any]:
    """Return the metrics of the records' outputs: statements by kind, the share that holds, sentences of another form,
    and the share of outputs that link item and history at all."""
    check = _Check(items, training_history)
    made, holding, other, linked = Counter[str](), Counter[str](), 0, 0
    explained = records.filter(pl.col("output").is_not_null())
    for record in explained.iter_rows(named=True):
        parsed = [parse_statement(sentence) for sentence in sentences(record["output"])]
        statements = [statement for statement in parsed if statement]
        other += len(parsed) - len(statements)
        made.update(statement.kind for statement in statements)
        holding.update(statement.kind for statement in statements if check.holds(statement, record))
        linked += any(statement.kind != "none" for statement in statements)
    return {
        "outputs": explained.height,
        "linked": round(linked / max(explained.height, 1), 4),
        "statements": made.total(),
        "holding": round(holding.total() / max(made.total(), 1), 4),
        "other_sentences": other,
        "by_kind": {kind: {"statements": n, "holding": holding[kind]} for kind, n in sorted(made.items())},
    }


class _Check:
    """Truth of statements, from the tables."""

    def __init__(self, items: pl.DataFrame, training_history: pl.DataFrame) -> None:
        columns = items.select("item_id", "title", "categories")
        self._items = {item: (title, categories) for item, title, categories in columns.iter_rows()}
        grouped = training_history.group_by("item_id").agg("user_id")
        self._users = {item: frozenset(users) for item, users in grouped.iter_rows()}
        self._evidence = Evidence(items, training_history)

    def holds(self, statement: Statement, record: Mapping[str, Any]) -> bool:
        """Return whether a statement is true of the record's ground truth and history."""
        item, history = record["gt_item_id"], [*record["source_items"], *record["target_items"]]
        if statement.kind == "none":  # as far as the teacher can find
            return self._evidence.statements(record) == [statement]
        if statement.kind == "category":
            count = sum(statement.name in self._items[other][1] for other in history)
            stated = statement.name in self._items[item][1], statement.count, statement.total
            return stated == (True, count, len(history)) and count > 0
        return any(self._links(statement, item, other) for other in history if self._is_shown(other, statement.item))

    def _is_shown(self, item: str, shown: str) -> bool:
        return shown in (shown_title(self._items[item][0] or ""), f"(ID: {item})")

    def _links(self, statement: Statement, item: str, other: str) -> bool:
        if statement.kind == "users":
            users = self._users.get(other, frozenset())
            return (statement.count, statement.total) == (len(users & self._users.get(item, frozenset())), len(users))
        titles = [self._items[each][0] or "" for each in (item, other)]
        if statement.kind == "title":
            return main_words(titles[0]) == main_words(titles[1])
        name = title_words(statement.name)
        in_both = bool(name) and all(holds_words(title, name) for title in titles)
        return in_both and (statement.kind != "series" or any(name in series_names(title) for title in titles))
