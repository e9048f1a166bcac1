"""Whether a run reproduces the runs of a provenance file: number by number, and on the same terms.

A number agrees to the byte, or lies within the spread of the repeats, or does neither. The spread of k >= 2 repeats of
a number is the interval in which one more run falls with probability p where runs are normal (Hahn and Meeker,
Statistical Intervals, 1991, section 4.7), m their mean and s their standard deviation:
    m ± t(k - 1; (1 + p) / 2) · s · sqrt(1 + 1/k)      p = 1 - (1 - level) / n for each of n numbers
One more run of the same kind lies inside with all its n numbers with probability `level` or more, however they depend
on each other (Bonferroni). Few repeats give wide intervals (t of 1,260 numbers at .95: 159 of three, 20 of five, 7 of
ten), one gives none. Repeats that all agree (s = 0) ask for the same value."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

Agreement = Literal["to the byte", "within the spread", "not", "missing"]
Run = Mapping[str, Any]  # what a provenance file holds of one run
TERMS = ("code of", "param", "input", "base")  # what two runs of one experiment have in common
PINNED = "models/base/"  # the out that holds the base's fingerprint


@dataclass(frozen=True)
class Comparison:
    """A number of the file, its counterpart in the other run, and the interval of the repeats."""

    name: str
    recorded: float
    value: float | None
    low: float | None
    high: float | None

    @property
    def agreement(self) -> Agreement:
        """How far the two agree."""
        if self.value is None:
            return "missing"
        if self.value == self.recorded:
            return "to the byte"
        within = self.low is not None and self.high is not None and self.low <= self.value <= self.high
        return "within the spread" if within else "not"


def compare_numbers(runs: Sequence[Run], other: Run, beginning: str, level: float) -> list[Comparison]:
    """Compare the numbers of the metrics files whose paths begin so; the first run is the one that is reproduced.
    `level` is of all numbers together."""
    recorded = [dict(_chosen(run, beginning)) for run in runs]
    values = dict(_chosen(other, beginning))
    compared, each = [], 1 - (1 - level) / max(len(recorded[0]), 1)
    for name, number in recorded[0].items():
        repeats = np.array([run[name] for run in recorded if name in run])
        low, high = spread(repeats, each) if len(repeats) > 1 else (None, None)
        compared.append(Comparison(name, number, values.get(name), low, high))
    return compared


def spread(repeats: np.ndarray, p: float) -> tuple[float, float]:
    """Return the interval in which one more run falls with probability p, from k >= 2 repeats [k]."""
    k = len(repeats)
    width = float(stats.t.ppf((1 + p) / 2, k - 1) * repeats.std(ddof=1) * np.sqrt(1 + 1 / k))
    return float(repeats.mean()) - width, float(repeats.mean()) + width


def other_terms(run: Run, other: Run) -> list[str]:
    """Return in what two runs are different experiments: code of the stages that both ran, params other than seeds,
    inputs, base."""
    return [f"{kind} {key}" for kind, key, *_ in differing_terms(run, other)]


def differing_terms(run: Run, other: Run) -> list[tuple[str, str, Any, Any]]:
    """Return kind, key and both values of these terms; None where a run has none."""
    terms = [(kind, _terms(run, kind), _terms(other, kind)) for kind in TERMS]
    return [
        (kind, key, first.get(key), second.get(key))
        for kind, first, second in terms
        for key in _different(first, second, kind)
    ]


def equal_outs(run: Run, other: Run) -> tuple[list[str], list[str]]:
    """Return the outs of both runs that have the same hash, and those that have not."""
    first, second = run["data"]["outs"], other["data"]["outs"]
    both = sorted(set(first) & set(second))
    return [path for path in both if first[path] == second[path]], [p for p in both if first[p] != second[p]]


def _terms(run: Run, kind: str) -> dict[str, Any]:
    match kind:
        case "code of":
            return dict(run["code"]["stages"])
        case "param":
            return {key: value for key, value in run["params"]["values"].items() if key not in run["seeds"]}
        case "input":
            return dict(run["data"]["inputs"])
        case _:
            return {path: md5 for path, md5 in run["data"]["outs"].items() if path.startswith(PINNED)}


def _different(first: Mapping[str, Any], second: Mapping[str, Any], kind: str) -> list[str]:
    keys = {*first} & {*second} if kind == "code of" else {*first} | {*second}
    return sorted(key for key in keys if first.get(key) != second.get(key))


def _chosen(run: Run, beginning: str) -> Iterator[tuple[str, float]]:
    for path, content in run["results"].items():
        if path.startswith(beginning):
            yield from _numbers(content, path)


def _numbers(node: Any, name: str) -> Iterator[tuple[str, float]]:
    """Yield the name and value of every number of a tree."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _numbers(value, f"{name}: {key}" if name.endswith(".json") else f"{name}.{key}")
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from _numbers(value, f"{name}[{place}]")
    elif isinstance(node, int | float) and not isinstance(node, bool):
        yield name, node
