"""Parser of KitREC prompts: the histories and the candidates that the text shows.

Candidate ids are read from the candidate section alone; an id in a history line or in a title is text. The candidate
section ends at the next heading. A history ends at the next section; a heading in between ends it too, unless items
with ids follow: then it is a line of a review. Each of the three sections must occur once, so that no text of the data
can open one."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kitrec.sources.item_lines import ItemLine, UnreadableError, is_marked, read_list

__all__ = ["ItemLine", "ParsedPrompt", "UnreadableError", "parse_prompt", "whole_prompt"]

_HEADING = re.compile(r"^#{1,6} .*", re.MULTILINE)
_SECTIONS = {
    "source history": re.compile(r"#{1,6} User['\u2019]s (?P<domain>.+?) History \(Source Domain\b.*", re.IGNORECASE),
    "target history": re.compile(r"#{1,6} User['\u2019]s (?P<domain>.+?) History \(Target Domain\b.*", re.IGNORECASE),
    "candidate list": re.compile(r"#{1,6} (?:List of )?(?:Available )?Candidate Items\b.*", re.IGNORECASE),
}
_USUAL_HEADINGS = {
    "source history": "### User's Books History (Source Domain):",
    "target history": "### User's Music History (Target Domain):",
    "candidate list": "## List of Available Candidate Items (100 items)",
}
Headings = Mapping[str, list[re.Match[str]]]
_DECLARED = re.compile(r"\b(\d+) items?\b", re.IGNORECASE)
_TARGETS = {"movies & tv": "movies", "movies": "movies", "movies and tv": "movies", "music": "music"}


@dataclass(frozen=True)
class ParsedPrompt:
    """Content of a prompt: target domain, histories and candidates in order."""

    target: str
    source: list[ItemLine]
    target_history: list[ItemLine]
    candidates: list[ItemLine]


def parse_prompt(text: str) -> ParsedPrompt:
    """Parse a prompt; raise UnreadableError with the section or line that violates the format."""
    lines = list(_HEADING.finditer(text))
    headings = _section_headings(lines)
    bodies = {name: _body(text, lines, headings, name) for name in _SECTIONS}
    domain = headings["target history"][0]["domain"]
    if domain.lower() not in _TARGETS:
        raise UnreadableError(f"target domain {domain!r} is none of {', '.join(sorted(_TARGETS))}", domain)
    lists = {name: read_list(body, name, ids=name == "candidate list") for name, body in bodies.items()}
    _check_declared(headings["candidate list"][0][0], len(lists["candidate list"]))
    return ParsedPrompt(_TARGETS[domain.lower()], *lists.values())


def whole_prompt(row: Mapping[str, Any]) -> str:
    """Return the text of a row that holds all three sections: `input`; else `instruction`; else both, one after the
    other, where `instruction` holds the system part or the histories and `input` the rest."""
    fields = [row.get(key) for key in ("input", "instruction")]
    texts = [text for text in fields if isinstance(text, str) and text.strip()]
    if not texts:
        raise UnreadableError("no prompt: both `input` and `instruction` are blank")
    if len(texts) == 1:
        return texts[0]
    whole = list(filter(is_whole, texts))
    return whole[0] if whole else "\n".join(reversed(texts))


def is_whole(text: str) -> bool:
    """Say whether a text has all three sections."""
    return all(_section_headings(_HEADING.finditer(text)).values())


def _section_headings(lines: Iterable[re.Match[str]]) -> Headings:
    """Return the headings of every section among all headings of a text."""
    known = list(lines)
    return {
        name: [match for line in known if (match := pattern.fullmatch(line.string, line.start(), line.end()))]
        for name, pattern in _SECTIONS.items()
    }


def _section(headings: Headings, name: str) -> re.Match[str]:
    """Return the heading of a section, which must occur exactly once."""
    matches = headings[name]
    if len(matches) != 1:
        message = f"{name}: its heading occurs {len(matches)} times, must occur once"
        raise UnreadableError(message, matches[0][0] if matches else "")
    return matches[0]


def _body(text: str, lines: Sequence[re.Match[str]], headings: Headings, name: str) -> str:
    """Return the text of a section."""
    try:
        start = _section(headings, name).end()
    except UnreadableError as problem:
        raise UnreadableError(str(problem), problem.line or _similar_heading(text, name)) from None
    ends = [match.start() for matches in headings.values() for match in matches if match.start() >= start]
    following = [line.start() for line in lines if line.start() >= start]
    if name == "candidate list" or not ends:
        return text[start : following[0] if following else len(text)]
    foreign = [line for line in following if line < min(ends)]
    with_items = (any(map(is_marked, text[line : min(ends)].split("\n"))) for line in foreign)
    end = next((line for line, continues in zip(foreign, with_items, strict=True) if not continues), min(ends))
    return text[start:end]


def _similar_heading(text: str, name: str) -> str:
    """Return the heading that a missing one may be."""
    headings = [heading[0] for heading in _HEADING.finditer(text)]
    headings = [line for line in headings if not any(pattern.fullmatch(line) for pattern in _SECTIONS.values())]
    return next(iter(difflib.get_close_matches(_USUAL_HEADINGS[name], headings, n=1, cutoff=0.4)), "")


def _check_declared(heading: str, listed: int) -> None:
    declared = _DECLARED.search(heading)
    if declared and int(declared[1]) != listed:
        raise UnreadableError(f"wrong number of candidates: {listed}, its heading says {declared[1]}")
