"""Records from interactions, from the pipeline's records, or from rows that are labelled already.

From interactions, leave-one-out: a user's last item is a positive, and `negatives` items of the pool without an
interaction are its negatives. The items before it are the history. In the pipeline a user may have two target domains,
with a history for each: there every (user, target) counts as a user of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.recommenders.data.user_histories import history_interactions, history_lists
from kitrec.thinkrec.labelled_rows import LabelledRows
from kitrec.thinkrec.records import UNKNOWN, Record, contradicts

MANY = 4  # times as many items as a user needs: most draws count


class Teacher(Protocol):
    """Explains like/dislike labels."""

    name: str

    def explain(self, records: Sequence[Record], *, mistaken: bool = False) -> list[str | None]:
        """Return for each record a text that begins with its verdict, or None if there is none; `mistaken` says that
        the model predicted the other verdict."""


def shown_titles(items: pl.DataFrame) -> dict[str, str]:
    """Return item id -> title as prompts show it, with the categories."""
    categories = pl.col("categories").list.join(", ")
    shown = pl.when(categories != "").then(pl.format("{} ({})", "title", categories)).otherwise("title")
    return dict(items.select("item_id", shown).iter_rows())


def from_interactions(
    interactions: pl.DataFrame, titles: Mapping[str, str], pool: Sequence[str], negatives: int, seed: int
) -> list[Record]:
    """Return one positive and `negatives` negatives of every user with at least two interactions (user_id, item_id,
    time)."""
    rows = interactions.sort("user_id", "time", "item_id")
    users = rows.group_by("user_id", maintain_order=True).agg("item_id")
    records, distinct = [], list(dict.fromkeys(pool))
    for user, (*before, last) in users.iter_rows():
        history = [item for item in before if item != last]  # an earlier interaction would reveal the label
        if history:
            rest = _draw_negatives(distinct, {*history, last}, negatives, seed, str(user))
            records += [_record(str(user), history, item, int(item == last), titles) for item in (last, *rest)]
    if not records:
        raise InputError("no user has two interactions: leave-one-out needs a history and an item after it")
    return records


def user_histories(records: pl.DataFrame, interactions: pl.DataFrame) -> dict[str, list[str]]:
    """Return the items of each user before the held-out one, of Books and of the target domain, in time order."""
    users = records.select("user_id", "target").unique(maintain_order=True)
    lists = history_lists(history_interactions(interactions, users, "both").filter(~pl.col("held_out")), users)
    return dict(zip(user_keys(lists), lists["items"].to_list(), strict=True))


def from_records(
    records: pl.DataFrame,
    histories: Mapping[str, Sequence[str]],
    titles: Mapping[str, str],
    negatives: int | None,
    seed: int,
) -> list[Record]:
    """Return records of the pipeline's records: the ground truth is a positive, `negatives` of the other candidates
    (None: all of them) are negatives."""
    converted = []
    for row in records.iter_rows(named=True):
        others = [item for item in row["candidate_ids"] if item != row["gt_item_id"]]
        drawn = generator(seed, "thinkrec negatives", row["record_id"]).permutation(len(others))[:negatives]
        for item in (row["gt_item_id"], *(others[k] for k in drawn)):
            user = user_key(row["user_id"], row["target"])
            converted.append(_record(user, histories[user], item, int(item == row["gt_item_id"]), titles))
    return converted


def candidate_records(
    row: Mapping[str, Any], histories: Mapping[str, Sequence[str]], titles: Mapping[str, str]
) -> list[Record]:
    """Return a record for each candidate of a pipeline record, in the order shown; the labels are meaningless."""
    user = user_key(row["user_id"], row["target"])
    return [_record(user, histories[user], item, 0, titles) for item in row["candidate_ids"]]


def user_key(user: object, target: object) -> str:
    """Return the key of a user with one target domain."""
    return f"{user}:{target}"


def user_keys(users: pl.DataFrame) -> list[str]:
    """Return the keys of rows with user_id and target."""
    return [user_key(*row) for row in users.select("user_id", "target").iter_rows()]


def from_labelled(labelled: LabelledRows, titles: Mapping[str, str]) -> list[Record]:
    """Return one record per labelled row."""
    rows = zip(labelled.users, labelled.histories, labelled.items, labelled.labels.tolist(), strict=True)
    return [_record(user, history, item, label, titles) for user, history, item, label in rows]


def with_reasons(
    records: Sequence[Record], teacher: Teacher, *, mistaken: bool = False
) -> tuple[list[Record], dict[str, int]]:
    """Return the records as reasoning samples; drop and count those without a rationale that fits the label."""
    reasons = teacher.explain(records, mistaken=mistaken)
    pairs = [(record, reason) for record, reason in zip(records, reasons, strict=True) if reason is not None]
    kept = [(record, reason) for record, reason in pairs if not contradicts(reason, record.label)]
    counts = {"unexplained": len(records) - len(pairs), "contradicting_reasons": len(pairs) - len(kept)}
    return [replace(record, mode="v1", reason=reason, provenance=teacher.name) for record, reason in kept], counts


def _record(user: str, history: Sequence[str], item: str, label: int, titles: Mapping[str, str]) -> Record:
    shown = tuple(titles.get(past) or UNKNOWN for past in history)
    return Record(user, tuple(history), shown, item, titles.get(item) or UNKNOWN, label)


def _draw_negatives(pool: Sequence[str], interacted: set[str], count: int, seed: int, user: str) -> list[str]:
    """Draw different items of the pool without an interaction, in an order that depends on the user.

    From many items they are drawn one by one, and those that do not count left out: no pass over the pool."""
    rng, negatives = generator(seed, "thinkrec negatives", user), dict[str, None]()
    if len(pool) > MANY * (count + len(interacted)):
        while len(negatives) < count:
            drawn = (pool[k] for k in rng.integers(len(pool), size=count).tolist())
            negatives |= dict.fromkeys(item for item in drawn if item not in interacted)
        return list(negatives)[:count]
    order: np.ndarray = rng.permutation(len(pool))
    rest = [pool[k] for k in order if pool[k] not in interacted][:count]
    if len(rest) < count:
        raise InputError(
            f"user {user} has interactions with all but {len(rest)} of the {len(pool)} items of the pool, {count} "
            "are needed as negatives; lower thinkrec.negatives, or widen the pool"
        )
    return rest
