"""Differences of two runs, the second minus the first, in words that say no more than the tests support.

A difference is tested over the users that both runs have, user by user; verdicts are those of verdicts.py, with p
corrected by Holm over the rankings of one view, kind and metric. Two kinds of rankings are in no such family: bounds,
which are shown and never compared, and rankings with the same score for every record, whose test cannot reject (its
smallest p is 1), so that they cost the others nothing (Tarone 1990, Biometrics 46).
Columns of a table of a view: method, kind, metric, records_first, records_second, n (users of the test), first, second,
difference, low, high, p_permutation, equal; the test's columns are null where nothing was tested."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from kitrec.report.palette import Role
from kitrec.report.verdicts import NAMED, Difference, comparison, holm, listed

EQUAL, UNTESTED = "same scores", "not tested"
CLAIMS = ("ahead", "behind", "not distinguishable")
FIRST_ITEM = "hit@1"
Runs = tuple[str, str]


@dataclass(frozen=True)
class Pairing:
    """How far two runs have the same test records in one test set; counts are of records, except `users`."""

    records: tuple[int, int]
    shared: int = 0  # of users that both runs have
    users: int = 0
    other_candidates: int = 0  # of the shared ones
    other_held_out: int = 0
    refusal: str = ""  # why no difference is tested

    def sentence(self, runs: Runs) -> str:
        """Return what a difference is over, or why nothing is tested."""
        first, second = self.records
        if self.refusal:
            sizes = f"Each value is a mean over the run's records, {first:,} of {runs[0]} and {second:,} of {runs[1]}."
            return f"No difference is tested: {self.refusal}. {sizes}"
        counted = f"{self.shared:,} test records of {self.users:,} users"
        extra = [(n - self.shared, run) for n, run in zip(self.records, runs, strict=True) if n > self.shared]
        left_out = listed([f"{n:,} of {run}" for n, run in extra]) if extra else ""
        texts = [
            f"Both runs have {counted} in common; left out are {left_out}." if extra else f"Both runs have {counted}."
        ]
        if not self.other_candidates:
            return f"{texts[0]} The candidates are the same."
        number = f"{self.other_candidates:,} of" if self.other_candidates < self.shared else "All"
        texts.append(
            f"{number} the shared records have other candidates: a difference is one of run and candidates together."
        )
        texts += [f"Another item is held out in {self.other_held_out:,} of them."] if self.other_held_out else []
        return " ".join(texts)


@dataclass(frozen=True)
class Change:
    """A metric of one ranking in both runs, and the test of its difference where there is one."""

    method: str
    first: float
    second: float
    interval: tuple[float, float, float] | None  # difference, low, high; None: the runs do not pair
    tested: Difference | None  # the second run against the first, p corrected
    equal: bool  # every record has the same score

    @property
    def verdict(self) -> str:
        """What the test supports."""
        if self.tested is None:
            return EQUAL if self.equal else UNTESTED
        return self.tested.verdict


def changes(
    rows: pl.DataFrame, runs: Runs, roles: Mapping[str, Role], uncompared: Collection[str] = ()
) -> list[Change]:
    """Return the changes of one view, kind and metric; neither bounds nor `uncompared` methods are tested."""
    apart = {name for name, role in roles.items() if role == "bound"} | set(uncompared)
    paired = pl.col("difference").is_not_null() & ~pl.col("equal")
    family = rows.filter(paired & ~pl.col("method").is_in(list(apart)))
    corrected = dict(zip(family["method"], holm(family["p_permutation"].to_list()), strict=True))
    return [_change(row, runs, corrected.get(row["method"])) for row in rows.iter_rows(named=True)]


def _change(row: Mapping[str, Any], runs: Runs, p: float | None) -> Change:
    interval = (row["difference"], row["low"], row["high"])
    tested = None if p is None else Difference(runs[1], runs[0], *interval, p, row["n"])
    paired = None if row["difference"] is None else interval
    return Change(row["method"], row["first"], row["second"], paired, tested, row["equal"])


def sentences(compared: Sequence[Change], runs: Runs, title: str, uncompared: Collection[str] = ()) -> list[str]:
    """Return what the tests of one view, kind and metric support, the clear differences first, by their size."""
    if not compared:
        return ["The two runs have no ranking of this kind in common."]
    if all(change.equal for change in compared):
        return [f"Every ranking of both runs has the same scores in {runs[0]} and {runs[1]}: nothing differs here."]
    texts = claims(compared, title)
    if same := [change for change in compared if change.verdict == EQUAL]:
        texts.append(f"{_names(same)} ha{'s' if len(same) == 1 else 've'} the same scores in both runs.")
    if uncompared:
        texts.append(f"Answers of {listed(sorted(uncompared))} were requested with other numbers of items: see Hit@1.")
    return texts or ["No difference is tested here."]


def claims(compared: Sequence[Change], title: str) -> list[str]:
    """Return the sentences about tested changes alone."""
    ordered = sorted(compared, key=lambda each: -abs(each.tested.value if each.tested else 0))
    alike = {verdict: [change for change in ordered if change.verdict == verdict] for verdict in CLAIMS}
    return [text for changes_of_one in alike.values() for text in _claims(changes_of_one, title)]


def _claims(alike: Sequence[Change], title: str) -> list[str]:
    """Return the sentences about tested changes of one verdict: each claim by itself, of all others one."""
    tests = [change.tested for change in alike if change.tested is not None]
    if len(tests) > 1 and tests[0].verdict == "not distinguishable":
        first = tests[0]
        what = f"{first.method} is not distinguishable from {first.other} at n = {first.n} users"
        return [f"{title} of {_names(alike)}: {what}."]
    named = list(zip(alike, tests, strict=True))[:NAMED]
    texts = [f"{title} of {change.method}: {test.method} is {comparison(test)}." for change, test in named]
    rest = alike[NAMED:]
    return texts + ([f"The same holds of {_names(rest)}, by less."] if rest else [])


def _names(alike: Sequence[Change]) -> str:
    names = sorted(change.method for change in alike)
    return listed(names) if len(names) <= NAMED else f"{len(names)} methods"
