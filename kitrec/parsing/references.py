"""Which books of the reader's own history an answer's reasoning (thought and rationale) names, by id or by title.

Names count as whole words in any case, the longest first: where "Dune Messiah" stands, "Dune" is not named as well.
What two books are both called names one of them. A title needs two letters or digits."""

import re
from collections.abc import Mapping

import polars as pl

from kitrec.parsing.parser import split_thought

_TAKEN = "\0"  # stands where a name stood, so that nothing is read across it


def references(
    answers: pl.DataFrame, rankings: pl.DataFrame, records: pl.DataFrame, items: pl.DataFrame
) -> dict[str, float]:
    """How many different source items the reasoning of an answer names on average, and how many answers name any."""
    titles = dict(items.select("item_id", "title").iter_rows())
    joined = answers.join(rankings.select("record_id", "rationale"), on="record_id", how="left").join(
        records.select("record_id", history="source_items"), on="record_id", how="left"
    )
    counts = [
        len(named(reasoning(text, rationale), {item: titles.get(item) for item in history}))
        for text, rationale, history in joined.select("text", "rationale", "history").iter_rows()
    ]
    n = max(len(counts), 1)
    return {"mean": round(sum(counts) / n, 4), "share": round(sum(count > 0 for count in counts) / n, 4)}


def reasoning(text: str | None, rationale: str | None) -> str:
    """The thought of an answer and its rationale; the names of what it recommends are no part of it."""
    thought = split_thought(text)[0] if text else ""
    return f"{thought}\n{rationale or ''}"


def named(text: str, titles: Mapping[str, str | None]) -> set[str]:
    """The items (id -> title) that a text names."""
    names = {_folded(item): item for item in titles}
    for item, title in titles.items():
        if title and sum(letter.isalnum() for letter in title) > 1:
            names.setdefault(_folded(title), item)
    left, found = _folded(text), set()
    for name in sorted(names, key=len, reverse=True):
        if name in left:  # few are: a pattern is made for these only
            left, times = re.subn(rf"(?<!\w){re.escape(name)}(?!\w)", _TAKEN, left)
            found |= {names[name]} if times else set()
    return found


def _folded(text: str) -> str:
    """Letters in one case, white space as one blank."""
    return " ".join(text.casefold().split())
