"""Truncation of prompts over the token limit; task, output format and answer are never shortened.

The steps, one at a time until the prompt fits:
    0. only in training: half of the candidates are dropped, the held-out one stays, the order is drawn anew;
    1. the summaries of the history's items, the oldest first;
    2. the summaries of all candidates at once, so that none is favoured;
    3. the history's items, the oldest first: the books but for the last, then the target items.
Test prompts keep all candidates, and none of their steps looks at the held-out item."""

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
class TruncatedPrompt:
    """The tokens of a prompt that fits, the kinds of CUTS made, and the record as the prompt shows it."""

    prompt: list[Any]
    cuts: tuple[str, ...]
    record: Record

    @property
    def candidates(self) -> list[str]:
        """The ids of the candidates shown, in their order."""
        return list(self.record["candidate_ids"])


def truncate_for_training(
    record: Record, items: Mapping[str, Item], style: Style, max_tokens: int, encode: Encode, rng: np.random.Generator
) -> TruncatedPrompt:
    """Return a training prompt of at most `max_tokens` tokens."""
    whole = encode(segments(record, items, style).text())
    if len(whole) <= max_tokens:
        return TruncatedPrompt(whole, (), record)
    return _truncate(subsample_candidates(record, rng), items, style, max_tokens, encode, ("candidates",))


def truncate_for_test(
    record: Record, items: Mapping[str, Item], style: Style, max_tokens: int, encode: Encode
) -> TruncatedPrompt:
    """Return a test prompt of at most `max_tokens` tokens, by the same steps without step 0."""
    return _truncate(record, items, style, max_tokens, encode, ())


def subsample_candidates(record: Record, rng: np.random.Generator) -> dict[str, Any]:
    """Return the record with half of its candidates, the held-out one among them, in an order drawn anew."""
    negatives = [item for item in record["candidate_ids"] if item != record["gt_item_id"]]
    kept = rng.choice(len(negatives), len(record["candidate_ids"]) // 2 - 1, replace=False)
    candidates = [record["gt_item_id"], *(negatives[k] for k in kept)]
    return {**record, "candidate_ids": [candidates[k] for k in rng.permutation(len(candidates))]}


def _truncate(
    record: Record,
    items: Mapping[str, Item],
    style: Style,
    max_tokens: int,
    encode: Encode,
    earlier_cuts: tuple[str, ...],
) -> TruncatedPrompt:
    """Take as few steps as needed, found by bisection: every step only shortens."""
    steps = _steps(record, items, style)

    def prompt(count: int) -> list[Any]:
        return encode(segments(*_cut(record, items, steps[:count]), style).text())

    if len(uncut := prompt(0)) <= max_tokens:
        return TruncatedPrompt(uncut, earlier_cuts, record)
    low, high, shortest = 1, len(steps), prompt(len(steps))
    if len(shortest) > max_tokens:
        raise TooLongError(
            f"{record['record_id']}: even without its history and without summaries the prompt has {len(shortest)} "
            f"tokens, {max_tokens} fit; raise prompt.max_length"
        )
    tokens = shortest
    while low < high:
        middle = (low + high) // 2
        if len(attempt := prompt(middle)) <= max_tokens:
            high, tokens = middle, attempt
        else:
            low = middle + 1
    kinds = {"summaries" if kind == "summary" else "history" for kind, _ in steps[:low]}
    cuts = (*earlier_cuts, *(cut for cut in CUTS if cut in kinds))
    return TruncatedPrompt(tokens, cuts, _cut(record, items, steps[:low])[0])


Step = tuple[str, tuple[str, ...]]


def _steps(record: Record, items: Mapping[str, Item], style: Style) -> list[Step]:
    """Return (`summary` or the name of an item list, the items concerned) in the order they are cut."""
    source, target = record["source_items"], record["target_items"]
    steps: list[Step] = []
    if style.summaries:
        steps += [("summary", (item,)) for item in (*source, *target) if items[item]["description"]]
        steps += [("summary", tuple(record["candidate_ids"]))]
    return steps + [("source", (item,)) for item in source[:-1]] + [("target", (item,)) for item in target]


def _cut(record: Record, items: Mapping[str, Item], steps: list[Step]) -> tuple[Record, Mapping[str, Item]]:
    """Return the record and its items after some steps; histories lose their first, oldest items."""
    bare = {item: {**items[item], "description": None} for kind, ids in steps if kind == "summary" for item in ids}
    dropped = {name: sum(kind == name for kind, _ in steps) for name in ("source", "target")}
    shorter = {
        f"{name}_{column}": record[f"{name}_{column}"][count:]
        for name, count in dropped.items()
        for column in ("items", "ratings")
    }
    return {**record, **shorter}, ChainMap(bare, items)  # type: ignore[arg-type]
