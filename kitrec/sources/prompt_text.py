"""A KitREC prompt, read back: the histories and the candidates that its text shows.

Candidate ids come from the candidate section alone; an id in a history line or in a title is text. Three forms of
history lines occur: `(ID: X) title | …`, `[Item: X] | title | …` and `- title | …`. A section ends where the next
heading begins."""

import re
from dataclasses import dataclass
from functools import lru_cache

UNKNOWN = "Unknown"
_SOURCE = re.compile(r"### User's (?P<domain>.+?) History \(Source Domain\):\s*")
_TARGET = re.compile(r"### User's (?P<domain>.+?) History \(Target Domain\):\s*")
_CANDIDATES = re.compile(r"## List of Available Candidate Items.*")
_HEADING = re.compile(r"^#{1,3} .*", re.MULTILINE)
_LISTED = re.compile(r"^\(ID: (?P<id>[A-Za-z0-9]+)\) (?P<facts>.+)$")
_HISTORY = (_LISTED, re.compile(r"^\[Item: (?P<id>[A-Za-z0-9]+)\] \| (?P<facts>.+)$"), re.compile(r"^- (?P<facts>.+)$"))
_RATING = re.compile(r"^Rating: (?P<stars>\d+(?:\.\d+)?)$")
_TARGETS = {"movies & tv": "movies", "movies": "movies", "movies and tv": "movies", "music": "music"}


class UnreadableError(ValueError):
    """A row that is not what KitREC writes; the message says where."""


@dataclass(frozen=True)
class Line:
    """An item as a line shows it; `item_id` is None in history lines without one."""

    item_id: str | None
    title: str | None
    categories: tuple[str, ...]
    rating: float | None
    description: str | None


@dataclass(frozen=True)
class Prompt:
    """What a prompt shows: target domain, histories in order, candidates in order."""

    target: str
    source: list[Line]
    target_history: list[Line]
    candidates: list[Line]


def read_prompt(text: str) -> Prompt:
    """Raises UnreadableError with the section or line that is not as it should be."""
    sections = _sections(text)
    _, source = _section(sections, _SOURCE, "source history")
    heading, target = _section(sections, _TARGET, "target history")
    domain = heading["domain"]
    if domain.lower() not in _TARGETS:
        raise UnreadableError(f"target domain {domain!r} is none of {', '.join(sorted(_TARGETS))}")
    _, listed = _section(sections, _CANDIDATES, "candidate list")
    return Prompt(
        _TARGETS[domain.lower()],
        [_line(line, _HISTORY, "source history") for line in source],
        [_line(line, _HISTORY, "target history") for line in target],
        [_listed(line) for line in listed],
    )


def read_facts(facts: str) -> tuple[str | None, tuple[str, ...], float | None, str | None]:
    """(title, categories, rating, description) of `title | categories | Rating: 4.0 | summary`."""
    parts = facts.split(" | ")
    rated = None
    for k in range(1, len(parts)):
        if parts[k].startswith("Rating: ") and _RATING.match(parts[k]):
            rated = k
            break
    before, after = (parts, []) if rated is None else (parts[:rated], parts[rated + 1 :])
    title, categories = (before[0], []) if len(before) == 1 else (" | ".join(before[:-1]), before[-1].split(", "))
    stars = float(parts[rated].removeprefix("Rating: ")) if rated is not None else None
    return (None if title == UNKNOWN else title), tuple(categories), stars, " | ".join(after) or None


def _sections(text: str) -> list[tuple[str, str]]:
    """(heading, what stands under it) in turn."""
    headings = list(_HEADING.finditer(text))
    ends = [*(found.start() for found in headings[1:]), len(text)]
    return [(found[0], text[found.end() : end]) for found, end in zip(headings, ends, strict=False)]


def _section(sections: list[tuple[str, str]], form: re.Pattern[str], name: str) -> tuple[re.Match[str], list[str]]:
    """The heading of a form that must occur exactly once, and the lines under it."""
    found = [(match, body) for heading, body in sections if (match := form.fullmatch(heading))]
    if len(found) != 1:
        raise UnreadableError(f"{name}: its heading occurs {len(found)} times, must occur once")
    lines = found[0][1].replace("\r\n", "\n").split("\n")
    return found[0][0], [line for line in lines if line and line != "(none)" and not line.isspace()]


@lru_cache(maxsize=2**18)
def _listed(line: str) -> Line:
    """A candidate's line; the same item has the same line in all lists."""
    return _line(line, (_LISTED,), "candidate list")


def _line(line: str, forms: tuple[re.Pattern[str], ...], where: str) -> Line:
    for form in forms:
        if found := form.match(line):
            title, categories, rating, description = read_facts(found["facts"])
            return Line(found.groupdict().get("id"), title, categories, rating, description)
    raise UnreadableError(f"{where}: no item line: {line[:60]!r}")
