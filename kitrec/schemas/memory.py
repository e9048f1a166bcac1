"""What a base writes where a title, a history or a user's items break off, beside what would follow there."""

import re

import polars as pl

from kitrec.core.tables import Table

PROBES = ("title", "history", "next")
_BRACKETS = re.compile(r"\(.*?\)|\[.*?\]")

MEMORY = Table(
    "memory",
    {
        "probe": pl.String,
        "text": pl.String,  # a hash of what the base read
        "item_id": pl.String,
        "truth": pl.String,  # the rest of the line, of this item
        "written": pl.String,  # the rest of the line, by the base
    },
    key=("probe", "text", "item_id"),
    rules={f"probes are {', '.join(PROBES)}": pl.col("probe").is_in(PROBES)},
)


def without_brackets(title: str) -> str:
    """Return a title without what stands in brackets: formats, years, editions."""
    return _BRACKETS.sub(" ", title)


def plain_words(text: str) -> str:
    """Return the words of a title in lower case, without marks and what stands in brackets."""
    return " ".join(re.findall(r"\w+", without_brackets(text).casefold()))
