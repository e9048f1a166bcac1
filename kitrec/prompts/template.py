"""KitREC's prompt: a record and its items as text, in four segments (docs/specification/data.md, "The prompt").

No item id stands in the template itself; whether the answer may think is a property of the prompt, not of the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kitrec.core.domains import KITREC, Domains
from kitrec.core.errors import InputError
from kitrec.prompts.published import published_parts
from kitrec.prompts.shown_items import UNKNOWN, Item, ShownItems, shown_items


@dataclass(frozen=True)
class Style:
    """The kind of prompt: with a thought before the answer or not, the number of items it names, the labels if any;
    `published`: the prompt of the data, word for word, whatever the others say; the domains and their labels;
    `title_first`: an answer names an item by its title, then by its id."""

    thinking: bool
    answer_items: int
    summaries: bool
    labels: tuple[str, ...] = ()
    published: bool = False
    domains: Domains = KITREC
    title_first: bool = False

    def domain_labels(self, record: Mapping[str, Any]) -> tuple[str, str]:
        """Return what the prompt of a record calls its source and its target domain."""
        return self.domains.label, self.domains.labels[record["target"]]


@dataclass(frozen=True)
class Segments:
    """The parts of a prompt, in order; truncation may only ever touch history and candidates."""

    head: str
    history: str
    candidates: str
    task: str

    def text(self) -> str:
        """The whole prompt."""
        return self.head + self.history + self.candidates + self.task


def segments(record: Mapping[str, Any], items: Mapping[str, Item], style: Style) -> Segments:
    """Return the prompt of a record, without looking at the held-out item; `items` is the catalogue."""
    return render(record, shown_items(record, items), style)


def render(record: Mapping[str, Any], shown: ShownItems, style: Style) -> Segments:
    """Return the prompt of a record that shows these items, which are those of its lists."""
    notes = _notes(record.get("notes") or [])
    if style.published:
        head, history, candidates, task = published_parts(record)
        return Segments(head, history, candidates, task + notes)
    source, target = style.domain_labels(record)
    return Segments(
        _head(source, target, len(record["candidate_ids"])),
        _history(record, shown, style, source, target),
        _candidates(record["candidate_ids"], shown.candidates, style),
        notes + (_GUIDELINES.format(source=source, target=target) if style.thinking else "") + _output_format(style),
    )


def _notes(notes: Sequence[str]) -> str:
    """Render the texts a model wrote in earlier steps, where a method has any."""
    return "".join(f"\n## Note {number}\n{note}\n" for number, note in enumerate(notes, start=1))


def _head(source: str, target: str, count: int) -> str:
    return (
        f"You recommend {target} to a reader whose {source} history you know.\n\n## Input Parameters\n"
        f"- Source domain: {source}\n- Target domain: {target}\n- Candidates: {count}\n\n"
    )


def _history(record: Mapping[str, Any], shown: ShownItems, style: Style, source: str, target: str) -> str:
    def lines(items: Sequence[Item], ratings: list[float]) -> str:
        rows = [history_line(item, rating, style) for item, rating in zip(items, ratings, strict=True)]
        return "".join(rows) or "(none)\n"

    return (
        f"## User Interaction History\n### User's {source} History (Source Domain):\n"
        + lines(shown.source, record["source_ratings"])
        + f"### User's {target} History (Target Domain):\n"
        + lines(shown.target, record["target_ratings"])
    )


def _candidates(ids: list[str], items: Sequence[Item], style: Style) -> str:
    if style.labels and len(ids) > len(style.labels):
        raise InputError(
            f"prompt.labels: the tokenizer has {len(style.labels)} labels of one token, for {len(ids)} items"
        )
    marks = [label_mark(label) for label in style.labels] or [""] * len(ids)
    lines = [mark + candidate_line(i, item, style) for mark, i, item in zip(marks, ids, items, strict=False)]
    return f"\n## List of Available Candidate Items ({len(ids)} items)\n{''.join(lines)}"


def label_mark(label: str) -> str:
    """Return the beginning of a candidate's line, where candidates have labels."""
    return f"{label}: "


def history_line(item: Item, rating: float | None, style: Style) -> str:
    """Render an item of the history, with the user's rating."""
    return f"- {_facts(item, rating, style)}\n"


def candidate_line(item_id: str, item: Item, style: Style) -> str:
    """Render a candidate, with its id and average rating."""
    return f"(ID: {item_id}) {_facts(item, item['average_rating'], style)}\n"


def _facts(item: Item, rating: float | None, style: Style) -> str:
    """Render `title | categories | Rating: 4.0 | summary`; unknown parts are left out, but for the title."""
    parts = [item["title"] or UNKNOWN]
    if item["categories"]:
        parts.append(", ".join(item["categories"]))
    if rating is not None:
        parts.append(f"Rating: {rating:.1f}")
    if style.summaries and item["description"]:
        parts.append(item["description"])
    return " | ".join(parts)


_GUIDELINES = """
## Reasoning Guidelines
1. Name the themes that return in the {source} history.
2. Say what these themes are in {target}; the {target} history is evidence.
3. Choose the candidate that fits them best.
"""

_FIELDS = '"rank": 1, {names}, "confidence_score": 1-10, "rationale": "..."}}'
_ID_FIRST, _TITLE_FIRST = '"item_id": "...", "title": "..."', '"title": "...", "item_id": "..."'


def _output_format(style: Style) -> str:
    fields = _FIELDS.format(names=_TITLE_FIRST if style.title_first else _ID_FIRST)
    example = ('{"label": "...", ' if style.labels else "{") + fields
    if style.answer_items == 1:
        return f"\n## Output Format\nOne JSON object in a code block, the best candidate:\n{example}\n"
    request = f"One JSON array in a code block, the Top {style.answer_items} candidates, best first"
    return f"\n## Output Format\n{request}:\n[{example}, ...]\n"
