"""Prompts that are too long, shortened where it hurts least; task, output format and answer are never touched.

The order of sacrifice, one step at a time until the prompt fits:
    0. only in training: half of the candidates go, the held-out one stays, the order is drawn anew;
    1. the summaries of the history's items, the oldest first;
    2. the summaries of all candidates at once, so that none is favoured;
    3. the history's items, the oldest first: the books but for the last, then the target items.
Test prompts keep all candidates, and no step of theirs looks at the held-out item."""

from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kitrec.core.errors import InputError
from kitrec.prompts.template import Item, Style, segments

Record = Mapping[str, Any]
Encode = Callable[[str], list[Any]]
CUTS = ("candidates", "summaries", "history")


class TooLongError(InputError):
    """A prompt that does not fit whatever is cut."""


@dataclass(frozen=True)
class Fitted:
    """The tokens of a prompt that fits, what was cut from it (of CUTS), and the record as it shows it."""

    prompt: list[Any]
    cuts: tuple[str, ...]
    record: Record

    @property
    def shown(self) -> list[str]:
        """The candidates in their order."""
        return list(self.record["candidate_ids"])


def fit_for_training(
    record: Record, items: Mapping[str, Item], style: Style, room: int, encode: Encode, rng: np.random.Generator
) -> Fitted:
    """The prompt within `room` tokens."""
    whole = encode(segments(record, items, style).text())
    if len(whole) <= room:
        return Fitted(whole, (), record)
    halved = halve_candidates(record, rng)
    return _fit(halved, items, style, room, encode, ("candidates",))


def fit_for_test(record: Record, items: Mapping[str, Item], style: Style, room: int, encode: Encode) -> Fitted:
    """The same without step 0."""
    return _fit(record, items, style, room, encode, ())


def halve_candidates(record: Record, rng: np.random.Generator) -> dict[str, Any]:
    """The record with half of its candidates, the held-out one among them, in an order drawn anew."""
    negatives = [item for item in record["candidate_ids"] if item != record["gt_item_id"]]
    kept = rng.choice(len(negatives), len(record["candidate_ids"]) // 2 - 1, replace=False)
    chosen = [record["gt_item_id"], *(negatives[k] for k in kept)]
    return {**record, "candidate_ids": [chosen[k] for k in rng.permutation(len(chosen))]}


def _fit(
    record: Record, items: Mapping[str, Item], style: Style, room: int, encode: Encode, before: tuple[str, ...]
) -> Fitted:
    """The fewest steps that make it fit, found by halving: every step only shortens."""
    steps = _steps(record, items, style)

    def prompt(count: int) -> list[Any]:
        return encode(segments(*_cut(record, items, steps[:count]), style).text())

    if len(uncut := prompt(0)) <= room:
        return Fitted(uncut, before, record)
    low, high, fitting = 1, len(steps), prompt(len(steps))
    if len(fitting) > room:
        raise TooLongError(
            f"{record['record_id']}: even without its history and without summaries the prompt has {len(fitting)} "
            f"tokens, {room} fit; raise prompt.max_length"
        )
    while low < high:
        middle = (low + high) // 2
        if len(tried := prompt(middle)) <= room:
            high, fitting = middle, tried
        else:
            low = middle + 1
    kinds = {"summaries" if kind == "summary" else "history" for kind, _ in steps[:low]}
    return Fitted(fitting, (*before, *(cut for cut in CUTS if cut in kinds)), _cut(record, items, steps[:low])[0])


Step = tuple[str, tuple[str, ...]]


def _steps(record: Record, items: Mapping[str, Item], style: Style) -> list[Step]:
    """(`summary` or an item list's name, the items it concerns), in the order of sacrifice."""
    source, target = record["source_items"], record["target_items"]
    steps: list[Step] = []
    if style.summaries:
        steps += [("summary", (item,)) for item in (*source, *target) if items[item]["description"]]
        steps += [("summary", tuple(record["candidate_ids"]))]
    return steps + [("source", (item,)) for item in source[:-1]] + [("target", (item,)) for item in target]


def _cut(record: Record, items: Mapping[str, Item], steps: list[Step]) -> tuple[Record, Mapping[str, Item]]:
    """The record and its items after some steps; histories lose their first, oldest items."""
    bare = {item: {**items[item], "description": None} for kind, named in steps if kind == "summary" for item in named}
    dropped = {name: sum(kind == name for kind, _ in steps) for name in ("source", "target")}
    shorter = {
        f"{name}_{what}": record[f"{name}_{what}"][count:]
        for name, count in dropped.items()
        for what in ("items", "ratings")
    }
    return {**record, **shorter}, ChainMap(bare, items)  # type: ignore[arg-type]
