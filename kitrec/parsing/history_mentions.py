"""Items of a user's source history that the reasoning of an answer (thought and rationale) mentions, by id or title.

Names count as whole words in any case, the longest first: where "Dune Messiah" stands, "Dune" is not counted as well.
A title that two items share counts as one mention. A title needs two letters or digits."""

import re
from collections.abc import Mapping, Sequence

import polars as pl

from kitrec.parsing.parser import split_thought

_MATCHED = "\0"  # replaces a matched name, so that no other name is matched across it


def history_mentions(
    answers: pl.DataFrame, rankings: pl.DataFrame, records: pl.DataFrame, items: pl.DataFrame
) -> pl.DataFrame:
    """Return of every answer (`record_id`) how many distinct source items it mentions (`history_mentions`)."""
    titles = dict(items.select("item_id", "title").iter_rows())
    shown = records.select("record_id", history="source_items", texts="source_texts")
    joined = answers.join(rankings.select("record_id", "rationale"), on="record_id", how="left").join(
        shown, on="record_id", how="left"
    )
    counts = [
        len(mentioned_items(reasoning_text(text, rationale), _titles(history, texts, titles)))
        for text, rationale, history, texts in joined.select("text", "rationale", "history", "texts").iter_rows()
    ]
    return joined.select("record_id", history_mentions=pl.Series(counts, dtype=pl.Int64))


def _titles(
    history: Sequence[str], texts: Sequence[Mapping[str, str]] | None, titles: Mapping[str, str | None]
) -> dict[str, str | None]:
    """Return the titles that the user's own prompt gave the items, or else those of the catalogue."""
    if texts is not None:
        return {text["item_id"]: text["title"] for text in texts}
    return {item: titles.get(item) for item in history}


def reasoning_text(text: str | None, rationale: str | None) -> str:
    """Return thought and rationale of an answer, without the items it recommends."""
    thought = split_thought(text)[0] if text else ""
    return f"{thought}\n{rationale or ''}"


def mentioned_items(text: str, titles: Mapping[str, str | None]) -> set[str]:
    """Return the items of `titles` (id -> title) that a text mentions."""
    names = {_normalized(item): item for item in titles}
    for item, title in titles.items():
        if title and sum(letter.isalnum() for letter in title) > 1:
            names.setdefault(_normalized(title), item)
    remaining, mentioned = _normalized(text), set()
    for name in sorted(names, key=len, reverse=True):
        if name in remaining:  # rarely true: a pattern is compiled only then
            remaining, matches = re.subn(rf"(?<!\w){re.escape(name)}(?!\w)", _MATCHED, remaining)
            mentioned |= {names[name]} if matches else set()
    return mentioned


def _normalized(text: str) -> str:
    """Return the text with case folded and white space collapsed."""
    return " ".join(text.casefold().split())
