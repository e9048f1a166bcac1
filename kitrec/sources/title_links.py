"""What two titles visibly share: the main title, a series, or a name.

Everything is read off the titles: "(The Hunger Games, #1)" and "(Stephanie Plum Novels)" name series; any other run of
words that both titles hold counts as a name (of an author, a character, a place, a franchise) if it has two words with
a meaning of their own, or one that few titles of the catalogue hold."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

Words = tuple[str, ...]
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_GENITIVE = re.compile(r"['’]s$|(?<=s)['’]$", re.IGNORECASE)
_FORMAT = re.compile(r"\((?:paperback|hardcover|mm|numbered|dvd|vhs|blu-ray|widescreen|comic)\)", re.IGNORECASE)
_BRACKETS = re.compile(r"\[[^\[\]]*\]|\([^()]*\)")
_IN_BRACKETS = re.compile(r"\(([^()]+)\)")
_NUMBER = re.compile(
    r"[,:]?\s*(?:#|\b(?:books?|bk|vol|volume|no|number|part|episode)\b\.?)\s*[\divx]+\b.*", re.IGNORECASE
)
_SERIES_WORD = re.compile(r"\s+(?:series|trilogy|saga|novels|mystery|mysteries|cycle|chronicles)\s*$", re.IGNORECASE)
# Words that say nothing of what an item is about: grammar, and how it was sold.
COMMON = frozenset(
    """a an and are as at be but by for from her his how i in is it its me my no not of off on one or our out s so that
    the their them they this to two up us was we what when where who with you your all about after again into over
    der die das le la les el los de edition editions special collectors collector widescreen fullscreen full screen
    wide anniversary deluxe limited unrated extended directors director cut version versions complete entire season
    seasons series original miniseries collection collections set sets box boxed disc discs dvd dvds vhs blu ray
    bluray hd uv digital copy combo pack volume volumes vol part parts episode episodes book books novel novels
    story stories movie movies film films tv show first second third fourth fifth best new great little classic
    classics paperback hardcover guide life love man woman girl boy day night time world house""".split()
)
RARE_SHARE = 1 / 2000  # of the titles: a single word that at most so many hold is a name
LEAST_RARE = 6


@lru_cache(maxsize=2**18)
def title_words(title: str) -> Words:
    """Return the words of a title in lower case, without the ending of a genitive."""
    return tuple(_plain(word) for word in _WORD.findall(title))


@lru_cache(maxsize=2**18)
def main_words(title: str) -> Words:
    """Return the words without what stands in brackets and without a leading article; an edition is the same work."""
    words = title_words(_BRACKETS.sub(" ", _FORMAT.sub(" ", title)))
    return words[1:] if len(words) > 1 and words[0] in ("the", "a", "an") else words


@lru_cache(maxsize=2**18)
def series_names(title: str) -> frozenset[Words]:
    """Return the series that a title names in brackets, with a number or a word like `series`."""
    names = set()
    for text in _IN_BRACKETS.findall(_FORMAT.sub("", title)):
        without_number = _NUMBER.sub("", text)
        name = _SERIES_WORD.sub("", without_number)
        if name != text and _has_meaning(words := title_words(name)):
            names.add(words)
    return frozenset(names)


def holds_words(title: str, name: Words) -> bool:
    """Return whether the words of a name stand side by side in a title."""
    words, length = title_words(title), len(name)
    return any(words[k : k + length] == name for k in range(len(words) - length + 1))


def as_written(title: str, name: Words) -> str:
    """Return a name with the spelling of a title that holds it."""
    spans = [match.span() for match in _WORD.finditer(title)]
    words = title_words(title)
    for k in range(len(words) - len(name) + 1):
        if words[k : k + len(name)] == name:
            written = title[spans[k][0] : spans[k + len(name) - 1][1]]
            return _GENITIVE.sub("", written)
    return " ".join(name)


class NameFinder:
    """Finds names that two titles share; it knows how many titles of the catalogue hold each word."""

    def __init__(self, titles: Iterable[str]) -> None:
        counts: Counter[str] = Counter()
        known = list(titles)
        for title in known:
            counts.update(set(title_words(title)))
        self._counts, self._most = counts, max(LEAST_RARE, len(known) * RARE_SHARE)

    def shared_name(self, one: str, other: str) -> Words | None:
        """Return the longest run of words in both titles that is a name."""
        runs = [run for run in _common_runs(main_words(one), main_words(other)) if self._is_name(run)]
        return max(runs, key=len, default=None)

    def _is_name(self, run: Words) -> bool:
        telling = [word for word in run if word not in COMMON and not word.isdecimal()]
        if len(telling) >= 2:
            return True
        return len(telling) == 1 and len(telling[0]) > 3 and self._counts[telling[0]] <= self._most


def _common_runs(one: Words, other: Words) -> list[Words]:
    """Return the runs of words that stand in both and can be made no longer, without common words at their ends."""
    runs = []
    for i in range(len(one)):
        for j in range(len(other)):
            if one[i] != other[j] or (i and j and one[i - 1] == other[j - 1]):
                continue
            length = 1
            while i + length < len(one) and j + length < len(other) and one[i + length] == other[j + length]:
                length += 1
            runs.append(_trimmed(one[i : i + length]))
    return [run for run in runs if run]


def _trimmed(run: Sequence[str]) -> Words:
    first, last = 0, len(run)
    while first < last and run[first] in COMMON:
        first += 1
    while last > first and run[last - 1] in COMMON:
        last -= 1
    return tuple(run[first:last])


def _plain(word: str) -> str:
    return _GENITIVE.sub("", word.casefold().replace("’", "'"))


def _has_meaning(words: Words) -> bool:
    return any(word not in COMMON and not word.isdecimal() for word in words)
