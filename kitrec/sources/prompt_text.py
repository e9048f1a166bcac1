"""Parser of KitREC prompts: the histories and the candidates that the text shows.

Candidate ids are read from the candidate section alone; an id in a history line or in a title is text. Three forms of
history lines occur: `(ID: X) title | …`, `[Item: X] | title | …` and `- title | …`. A section ends at the next
heading."""

import re
from dataclasses import dataclass
from functools import lru_cache

UNKNOWN = "Unknown"
_SOURCE = re.compile(r"### User's (?P<domain>.+?) History \(Source Domain\):\s*")
_TARGET = re.compile(r"### User's (?P<domain>.+?) History \(Target Domain\):\s*")
_CANDIDATES = re.compile(r"## List of Available Candidate Items.*")
_HEADING = re.compile(r"^#{1,3} .*", re.MULTILINE)
_CANDIDATE_LINE = re.compile(r"^\(ID: (?P<id>[A-Za-z0-9]+)\) (?P<facts>.+)$")
_HISTORY_LINES = (
    _CANDIDATE_LINE,
    re.compile(r"^\[Item: (?P<id>[A-Za-z0-9]+)\] \| (?P<facts>.+)$"),
    re.compile(r"^- (?P<facts>.+)$"),
)
_RATING = re.compile(r"^Rating: (?P<rating>\d+(?:\.\d+)?)$")
_TARGETS = {"movies & tv": "movies", "movies": "movies", "movies and tv": "movies", "music": "music"}


class UnreadableError(ValueError):
    """Row that violates KitREC's format; the message says where."""


@dataclass(frozen=True)
class ItemLine:
    """Item as shown on one line; `item_id` is None in history lines without an id."""

    item_id: str | None
    title: str | None
    categories: tuple[str, ...]
    rating: float | None
    description: str | None


@dataclass(frozen=True)
class ParsedPrompt:
    """Content of a prompt: target domain, histories and candidates in order."""

    target: str
    source: list[ItemLine]
    target_history: list[ItemLine]
    candidates: list[ItemLine]


def parse_prompt(text: str) -> ParsedPrompt:
    """Parse a prompt; raise UnreadableError with the section or line that violates the format."""
    sections = _split_sections(text)
    _, source = _section_lines(sections, _SOURCE, "source history")
    heading, target = _section_lines(sections, _TARGET, "target history")
    domain = heading["domain"]
    if domain.lower() not in _TARGETS:
        raise UnreadableError(f"target domain {domain!r} is none of {', '.join(sorted(_TARGETS))}")
    _, candidates = _section_lines(sections, _CANDIDATES, "candidate list")
    return ParsedPrompt(
        _TARGETS[domain.lower()],
        [_item_line(line, _HISTORY_LINES, "source history") for line in source],
        [_item_line(line, _HISTORY_LINES, "target history") for line in target],
        [_candidate_line(line) for line in candidates],
    )


def parse_facts(facts: str) -> tuple[str | None, tuple[str, ...], float | None, str | None]:
    """Return (title, categories, rating, description) of `title | categories | Rating: 4.0 | summary`."""
    parts = facts.split(" | ")
    rating_part = None
    for k in range(1, len(parts)):
        if parts[k].startswith("Rating: ") and _RATING.match(parts[k]):
            rating_part = k
            break
    before, after = (parts, []) if rating_part is None else (parts[:rating_part], parts[rating_part + 1 :])
    title, categories = (before[0], []) if len(before) == 1 else (" | ".join(before[:-1]), before[-1].split(", "))
    rating = float(parts[rating_part].removeprefix("Rating: ")) if rating_part is not None else None
    return (None if title == UNKNOWN else title), tuple(categories), rating, " | ".join(after) or None


def _split_sections(text: str) -> list[tuple[str, str]]:
    """Split a prompt into (heading, body) pairs."""
    headings = list(_HEADING.finditer(text))
    ends = [*(heading.start() for heading in headings[1:]), len(text)]
    return [(heading[0], text[heading.end() : end]) for heading, end in zip(headings, ends, strict=False)]


def _section_lines(
    sections: list[tuple[str, str]], pattern: re.Pattern[str], name: str
) -> tuple[re.Match[str], list[str]]:
    """Return the heading of a pattern that must occur exactly once, and the lines of its section."""
    matches = [(match, body) for heading, body in sections if (match := pattern.fullmatch(heading))]
    if len(matches) != 1:
        raise UnreadableError(f"{name}: its heading occurs {len(matches)} times, must occur once")
    heading_match, body = matches[0]
    lines = body.replace("\r\n", "\n").split("\n")
    return heading_match, [line for line in lines if line and line != "(none)" and not line.isspace()]


@lru_cache(maxsize=2**18)
def _candidate_line(line: str) -> ItemLine:
    """Parse a candidate's line; cached, since an item has the same line in all lists."""
    return _item_line(line, (_CANDIDATE_LINE,), "candidate list")


def _item_line(line: str, patterns: tuple[re.Pattern[str], ...], where: str) -> ItemLine:
    for pattern in patterns:
        if match := pattern.match(line):
            title, categories, rating, description = parse_facts(match["facts"])
            return ItemLine(match.groupdict().get("id"), title, categories, rating, description)
    raise UnreadableError(f"{where}: no item line: {line[:60]!r}")
