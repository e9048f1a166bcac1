"""Records from what is at hand: anybody's interactions, or rows that are labelled already.

From interactions, leave-one-out: a user's last item is asked and was liked, and `negatives` items of the pool that the
user never touched are asked beside it and were not. What came before is the history. In the pipeline a user may read
towards two targets, with a history for each: there every (user, target) counts as a user of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.recommenders.data.user_histories import history_interactions, history_lists
from kitrec.thinkrec.labelled_rows import Labelled
from kitrec.thinkrec.reasons import contradicts
from kitrec.thinkrec.records import Record

UNKNOWN = "Unknown"


class Teacher(Protocol):
    """Whoever explains a verdict that is known to be right."""

    name: str

    def explain(self, records: Sequence[Record], *, mistaken: bool = False) -> list[str | None]:
        """For each record a text that begins with its verdict, or None where none could be had; whether the model had
        the other verdict."""


def shown_titles(items: pl.DataFrame) -> dict[str, str]:
    """Titles as prompts show them, with their categories."""
    history_lists = pl.col("categories").list.join(", ")
    shown = pl.when(history_lists != "").then(pl.format("{} ({})", "title", history_lists)).otherwise("title")
    return dict(items.select("item_id", shown).iter_rows())


def from_interactions(
    interactions: pl.DataFrame, titles: Mapping[str, str], pool: Sequence[str], negatives: int, seed: int
) -> list[Record]:
    """Of every user with at least two interactions (user_id, item_id, time): one liked item and `negatives` others."""
    rows = interactions.sort("user_id", "time", "item_id")
    found = []
    for (user,), own in rows.group_by("user_id", maintain_order=True):
        *before, last = own["item_id"].to_list()
        history = [item for item in before if item != last]  # who took it before would give the answer away
        if history:
            rest = _untouched(list(dict.fromkeys(pool)), {*history, last}, negatives, seed, str(user))
            found += [_record(str(user), history, item, int(item == last), titles) for item in (last, *rest)]
    if not found:
        raise InputError("no user has two interactions: leave-one-out needs a history and an item after it")
    return found


def histories_of(records: pl.DataFrame, seen: pl.DataFrame) -> dict[str, list[str]]:
    """What each reader of the pipeline's records met before what is held out: Books and the target's, in time order."""
    who = records.select("user_id", "target").unique(maintain_order=True)
    found = history_lists(history_interactions(seen, who, "both").filter(~pl.col("held_out")), who)
    return dict(zip(reader_names(found), found["items"].to_list(), strict=True))


def from_records(
    records: pl.DataFrame,
    histories: Mapping[str, Sequence[str]],
    titles: Mapping[str, str],
    negatives: int | None,
    seed: int,
) -> list[Record]:
    """From the pipeline's own records: the truth was liked, candidates drawn from the record's list (None: all of it)
    were not."""
    found = []
    for row in records.iter_rows(named=True):
        others = [item for item in row["candidate_ids"] if item != row["gt_item_id"]]
        drawn = generator(seed, "thinkrec negatives", row["record_id"]).permutation(len(others))[:negatives]
        for item in (row["gt_item_id"], *(others[k] for k in drawn)):
            user = reader_name(row["user_id"], row["target"])
            found.append(_record(user, histories[user], item, int(item == row["gt_item_id"]), titles))
    return found


def asked_candidates(
    row: Mapping[str, Any], histories: Mapping[str, Sequence[str]], titles: Mapping[str, str]
) -> list[Record]:
    """The candidates of one of the pipeline's records as questions, in their shown order; their labels say nothing."""
    user = reader_name(row["user_id"], row["target"])
    return [_record(user, histories[user], item, 0, titles) for item in row["candidate_ids"]]


def reader_name(user: object, target: object) -> str:
    """What a user of the pipeline is called here."""
    return f"{user}:{target}"


def reader_names(who: pl.DataFrame) -> list[str]:
    """Of rows with user_id and target."""
    return [reader_name(*row) for row in who.select("user_id", "target").iter_rows()]


def from_labelled(labelled: Labelled, titles: Mapping[str, str]) -> list[Record]:
    """One record per labelled row."""
    rows = zip(labelled.users, labelled.histories, labelled.items, labelled.labels.tolist(), strict=True)
    return [_record(user, history, item, label, titles) for user, history, item, label in rows]


def with_reasons(
    records: Sequence[Record], teacher: Teacher, *, mistaken: bool = False
) -> tuple[list[Record], dict[str, int]]:
    """The records as reasoning samples; what the teacher did not explain, or contradicted, is dropped and counted."""
    told = teacher.explain(records, mistaken=mistaken)
    pairs = [(own, reason) for own, reason in zip(records, told, strict=True) if reason is not None]
    kept = [(own, reason) for own, reason in pairs if not contradicts(reason, own.label)]
    counts = {"unexplained": len(records) - len(pairs), "contradicting_reasons": len(pairs) - len(kept)}
    return [replace(own, mode="v1", reason=reason, provenance=teacher.name) for own, reason in kept], counts


def _record(user: str, history: Sequence[str], item: str, label: int, titles: Mapping[str, str]) -> Record:
    shown = tuple(titles.get(own) or UNKNOWN for own in history)
    return Record(user, tuple(history), shown, item, titles.get(item) or UNKNOWN, label)


def _untouched(pool: Sequence[str], touched: set[str], count: int, seed: int, user: str) -> list[str]:
    """Some items of the pool, in an order of the user's own."""
    order: np.ndarray = generator(seed, "thinkrec negatives", user).permutation(len(pool))
    found = [pool[k] for k in order if pool[k] not in touched][:count]
    if len(found) < count:
        raise InputError(
            f"user {user} touched all but {len(found)} of the {len(pool)} items of the pool, {count} are needed as "
            "negatives; lower thinkrec.negatives, or widen the pool"
        )
    return found
