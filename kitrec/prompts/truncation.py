"""Truncation of prompts over the token limit; task, output format and answer are never shortened.

The steps, one at a time until the prompt fits:
    0. only in training: half of the candidates are dropped, the held-out one stays, the order is drawn anew;
    1. the summaries of the history's items, the oldest first;
    2. the summaries of all candidates at once, so that none is favoured;
    3. the history's items, the oldest first: the books but for the last, then the target items.
Published prompts have no steps 1 and 2: they lose whole lines or nothing.
Test prompts keep all candidates, and none of their steps looks at the held-out item."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kitrec.core.errors import InputError
from kitrec.prompts.published import UnknownLayoutError
from kitrec.prompts.shown_items import Item, ShownItems, shown_items
from kitrec.prompts.template import Style, render, segments

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
    shown = shown_items(record, items)
    steps = _steps(shown, style)

    def prompt(count: int) -> list[Any]:
        try:
            return encode(render(*_cut(record, shown, steps[:count]), style).text())
        except UnknownLayoutError as problem:
            raise TooLongError(str(problem)) from None

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
    kinds = {"summaries" if kind in ("summary", "all summaries") else "history" for kind, _ in steps[:low]}
    cuts = (*earlier_cuts, *(cut for cut in CUTS if cut in kinds))
    return TruncatedPrompt(tokens, cuts, _cut(record, shown, steps[:low])[0])


Step = tuple[str, int]


def _steps(shown: ShownItems, style: Style) -> list[Step]:
    """Return the steps in the order they are taken, each with the number of items that it and those of its kind before
    it concern: `summary` of a history's item, `all summaries` of the candidates, `source` and `target` items."""
    steps: list[Step] = []
    if style.summaries and not style.published:
        history = [*shown.source, *shown.target]
        steps += [("summary", count) for count, item in enumerate(history, start=1) if item["description"]]
        steps += [("all summaries", len(shown.candidates))]
    steps += [("source", count) for count in range(1, len(shown.source))]
    return steps + [("target", count) for count in range(1, len(shown.target) + 1)]


def _cut(record: Record, shown: ShownItems, steps: list[Step]) -> tuple[Record, ShownItems]:
    """Return the record and its items after some steps; histories lose their first, oldest items."""
    done = dict(steps)
    dropped = {side: done.get(side, 0) for side in ("source", "target")}
    shorter = {
        f"{side}_{column}": record[f"{side}_{column}"][count:]
        for side, count in dropped.items()
        for column in ("items", "ratings")
    }
    if "summary" in done or "all summaries" in done:
        shown = shown.without_summaries(done.get("summary", 0), candidates="all summaries" in done)
    return {**record, **shorter}, shown.without_oldest(**dropped)
