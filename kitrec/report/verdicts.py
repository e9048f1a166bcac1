"""Sentences about differences of methods, by templates that say no more than a test supports.

A method is ahead or behind where the corrected p of the difference of means is below LEVEL and the 95 % interval does
not hold zero; in all other cases the two are not distinguishable at this number of users, which is no claim that they
are equal. Multiplicity: Holm 1979, Scand. J. Statist. 6."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

LEVEL = 0.05
NAMED = 6  # methods of one verdict that a sentence names
Verdict = Literal["ahead", "behind", "not distinguishable"]


@dataclass(frozen=True)
class Difference:
    """Paired difference `method` minus `other` of a metric on n users, with its interval and corrected p."""

    method: str
    other: str
    value: float
    low: float
    high: float
    p: float
    n: int

    @property
    def verdict(self) -> Verdict:
        """What the test supports."""
        if self.p >= LEVEL or self.low <= 0 <= self.high:
            return "not distinguishable"
        return "ahead" if self.value > 0 else "behind"

    def of(self, method: str) -> "Difference":
        """Return the difference with `method` as the first of the two."""
        if method == self.method:
            return self
        return Difference(self.other, self.method, -self.value, -self.high, -self.low, self.p, self.n)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected by Holm over all of them."""
    corrected, highest = [0.0] * len(p_values), 0.0
    for position, index in enumerate(sorted(range(len(p_values)), key=lambda k: p_values[k])):
        highest = max(highest, min(1.0, (len(p_values) - position) * p_values[index]))
        corrected[index] = highest
    return corrected


def comparison(difference: Difference) -> str:
    """Return "ahead of b by 0.120 [0.020, 0.210], p = .012" or what else the test supports."""
    low, high = difference.low, difference.high
    match difference.verdict:
        case "ahead":
            return f"ahead of {difference.other} by {difference.value:.3f} [{low:.3f}, {high:.3f}], {p(difference.p)}"
        case "behind":
            by = f"{-difference.value:.3f} [{-high:.3f}, {-low:.3f}]"
            return f"behind {difference.other} by {by}, {p(difference.p)}"
        case _:
            interval = f"{difference.value:+.3f} [{low:+.3f}, {high:+.3f}]"
            return (
                f"not distinguishable from {difference.other} at n = {difference.n} users (difference {interval}, "
                f"{p(difference.p)})"
            )


def grouped(differences: Iterable[Difference]) -> str:
    """Return "ahead of a and b (p < .001), not distinguishable from c at n = 60 users", strongest verdicts first."""
    by_verdict: dict[Verdict, list[Difference]] = {"ahead": [], "not distinguishable": [], "behind": []}
    for difference in differences:
        by_verdict[difference.verdict].append(difference)
    words = {"ahead": "ahead of", "not distinguishable": "not distinguishable from", "behind": "behind"}
    parts = []
    for verdict, members in by_verdict.items():
        if members:
            few = len(members) <= NAMED
            named = f"{words[verdict]} {listed([each.other for each in members]) if few else f'{len(members)} methods'}"
            largest = p(max(each.p for each in members))
            sure = f"({'each ' if len(members) > 1 else ''}{largest})"
            parts.append(
                f"{named} at n = {members[0].n} users" if verdict == "not distinguishable" else f"{named} {sure}"
            )
    return ", ".join(parts)


def listed(names: Sequence[str]) -> str:
    """Return "a", "a and b", or "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def p(value: float) -> str:
    """Return "p = .012", or "p < .001"."""
    if value < 0.001:
        return "p < .001"
    return f"p = {value:.3f}".replace("0.", ".", 1) if value < 0.9995 else "p = 1"
