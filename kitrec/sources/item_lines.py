"""Lists of items in KitREC prompts: which lines name an item, which continue its text, which are prose.

An item begins with its id: `(ID: X) title | …`, after a bullet or not, or `[Item: X] | title | …`; in histories also
with a bullet alone, `- title | …`. Blanks before it do not matter. Lines that follow an item without beginning one
belong to its text (reviews run over several lines), except what a blank line separates from the last item. Prose before
the first item, `(Format: …)` lines, rules and brackets around a list are no items. A line with the fields of an item
but no readable beginning is an error, and so is a list that neither names an item nor says that it is empty."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

UNKNOWN = "Unknown"
SHOWN_LENGTH = 60  # characters of a line in an error message
ORNAMENT_LENGTH = 20  # characters of a rule or a bracket, at most
BLANKS = " \t\u00a0\u3000"
_BULLET = r"(?:[-*\u2022]|\d{1,4}[.)])\s+"
_MARK = re.compile(rf"(?:{_BULLET})?\(ID\s*:|\[Item\s*:", re.IGNORECASE)
_MARKED = re.compile(
    rf"(?:(?:{_BULLET})?\(ID\s*:\s*(?P<id>[\w-]{{1,64}})\s*\)|\[Item\s*:\s*(?P<item>[\w-]{{1,64}})\s*\](?:\s*\|)?)"
    r"\s*(?P<facts>.*)",
    re.IGNORECASE | re.ASCII | re.DOTALL,
)
_BULLETED = re.compile(rf"(?:{_BULLET})(?P<facts>.+)", re.DOTALL)
_HAS_RATING = re.compile(r" \| Rating: \d")
_ORNAMENT = re.compile(r"[\[\]{}]|\[\s*\]|[-=*_]{3,}|```\w*")
_REMARK = re.compile(r"[(\[]?\s*(?:Format|Note|Legend)\b.*|[^|]*:", re.IGNORECASE)
_RATING = re.compile(r"Rating: (?:(?P<rating>\d+(?:\.\d+)?)(?: ?/ ?5(?:\.0)?)?(?: stars?)?|N/?A|None|Unknown|-)\s*")
_BARE_RATING = re.compile(r"(?P<rating>[1-5]\.\d+)(?: ?/ ?5(?:\.0)?)?\s*")
_THINGS = r"(?:history|histories|interactions?|items?|records?|data|purchases?|reviews?|ratings?|entries)"
_NOTHING = re.compile(
    rf"none|n/?a|null|nil|empty|nothing|\[\s*\]|[-\u2013\u2014]+|not available|no (?:[^\s|]+ ){{0,4}}{_THINGS}\b[^|]*",
    re.IGNORECASE,
)
_NOTHING_SAID = re.compile(
    r"(?:(?:the|this) )?(?:user )?(?:there )?(?:has|have|is|are|was|were)? ?(?:no|not|none|nothing|empty)\b"
    r"[^|]*",
    re.IGNORECASE,
)


class UnreadableError(ValueError):
    """Row that violates KitREC's format; the message says where, `line` is the line that was not understood, if any."""

    def __init__(self, message: str, line: str = "") -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class ItemLine:
    """Item as a list shows it; `item_id` is None in history lines without an id."""

    item_id: str | None
    title: str | None
    categories: tuple[str, ...]
    rating: float | None
    description: str | None


def read_list(body: str, where: str, *, ids: bool) -> list[ItemLine]:
    """Return the items of a section in order; `ids`: only lines with an id are items."""
    rows = [row.lstrip(BLANKS).removesuffix("\r") for row in body.split("\n")]
    rows = _without_brackets(
        [row for row in rows if len(row) > ORNAMENT_LENGTH or not _ORNAMENT.fullmatch(row.rstrip())]
    )
    if all(not row or row.isspace() or _is_remark(row) or says_nothing(row) for row in rows):
        return []
    texts = _item_texts(rows, where, ids=ids)
    if not texts:
        raise _no_item(where, next(row for row in rows if row and not row.isspace()))
    return [_listed_item(text) if ids else _item(text, where) for text in texts]


def is_marked(row: str) -> bool:
    """Return whether a line begins as an item with an id does."""
    return _MARK.match(row.lstrip(BLANKS)) is not None


def says_nothing(row: str) -> bool:
    """Return whether a line says that there is nothing to list: `None`, `- None`, `(No interactions)`, …"""
    bulleted = _BULLETED.fullmatch(row.rstrip())
    text = (bulleted["facts"] if bulleted else row).strip(" \t()[]{}<>*_\"'.!")
    return bool(_NOTHING.fullmatch(text)) or (not bulleted and bool(_NOTHING_SAID.fullmatch(text)))


def parse_facts(facts: str) -> tuple[str | None, tuple[str, ...], float | None, str | None]:
    """Return (title, categories, rating, description) of `title | categories | Rating: 4.0 | summary`."""
    parts = facts.split(" | ")
    position, rating = _rating(parts)
    before, after = (parts, []) if position is None else (parts[:position], parts[position + 1 :])
    title, categories = (before[0], []) if len(before) == 1 else (" | ".join(before[:-1]), before[-1].split(", "))
    return (None if title in ("", UNKNOWN) else title), tuple(categories), rating, " | ".join(after) or None


def _rating(parts: Sequence[str]) -> tuple[int | None, float | None]:
    """Return position and value of the rating among the parts of a line; after the categories it may lack its name."""
    for k in range(1, len(parts)):
        if parts[k].startswith("Rating: ") and (match := _RATING.fullmatch(parts[k])):
            return k, float(match["rating"]) if match["rating"] else None
    for k in range(2, len(parts)):
        if match := _BARE_RATING.fullmatch(parts[k]):
            return k, float(match["rating"])
    return None, None


def _without_brackets(rows: list[str]) -> list[str]:
    """Remove brackets around a list that stand on the lines of its first and last item."""
    first = next((k for k, row in enumerate(rows) if row.startswith("[") and _MARK.match(row[1:].lstrip(BLANKS))), None)
    if first is None:
        return rows
    last = max(k for k, row in enumerate(rows) if row and not row.isspace())
    rows[first] = rows[first][1:].lstrip(BLANKS)
    rows[last] = rows[last].rstrip().removesuffix("]")
    return rows


def _item_texts(rows: Sequence[str], where: str, *, ids: bool) -> list[str]:
    """Return the text of every item, its continuation lines joined by blanks."""
    marked = ids or any(_MARK.match(row) for row in rows)
    items: list[list[str]] = []
    after_gap: list[str] = []  # lines after a blank one: text only if another item follows
    gap = False
    for row in rows:
        if _begins_item(row, marked=marked, ids=ids):
            if after_gap:
                items[-1] += after_gap
                after_gap = []
            items.append([row])
            gap = False
        elif not row or row.isspace():
            gap = True
        elif _is_remark(row) and (not items or row.startswith(("(", "["))):
            continue
        elif _HAS_RATING.search(row) or (not items and " | " in row):
            raise _no_item(where, row)
        elif items:
            (after_gap if gap else items[-1]).append(row.strip())
    return [" ".join(item) for item in items]


def _begins_item(row: str, *, marked: bool, ids: bool) -> bool:
    if row.startswith("(ID:") or _MARK.match(row):
        return True
    if ids or not _BULLETED.match(row):
        return False
    return bool(_HAS_RATING.search(row)) if marked else row.startswith("- ") or " | " in row


def _is_remark(row: str) -> bool:
    """Return whether a line says how to read the list: `(Format: …)`, or what ends with a colon."""
    return not _MARK.match(row) and not _BULLETED.match(row) and _REMARK.fullmatch(row.rstrip()) is not None


@lru_cache(maxsize=2**18)
def _listed_item(text: str) -> ItemLine:
    """Parse a candidate; cached, since an item has the same line in all lists."""
    return _item(text, "candidate list")


def _item(text: str, where: str) -> ItemLine:
    match = _MARKED.fullmatch(text) if _MARK.match(text) else _BULLETED.fullmatch(text)
    if match is None:
        raise _no_item(where, text)
    groups = match.groupdict()
    return ItemLine(groups.get("id") or groups.get("item"), *parse_facts(groups["facts"]))


def _no_item(where: str, row: str) -> UnreadableError:
    return UnreadableError(f"{where}: no item line: {row[:SHOWN_LENGTH]!r}", row)
