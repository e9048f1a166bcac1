"""The tables that DLLM2Rec's files lack, made of the training interactions: the row of a line, the item of a number.

    rows     every position with a prefix of every user's sequence, in their order: a file of one line per training row
    items    the items of the training interactions, sorted by id (numbers as numbers), counted from 0
Nothing in the files states the order, so it is checked against the lists: a teacher lists a row's next item more
often where the lines fit than where each list is given to another line. Where it does not, the files are refused."""

from pathlib import Path

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.distillation.alignment import full_sequences
from kitrec.distillation.dllm2rec_files import ITEMS, ROWS, MadeTables
from kitrec.recommenders.data.user_histories import training_sequences, user_targets
from kitrec.recommenders.data.vocabulary import Vocabulary


def tables_of_interactions(interactions: pl.DataFrame) -> MadeTables:
    """Return the tables of the training users' interactions."""
    vocabulary, users = Vocabulary(interactions["item_id"]), user_targets(interactions)
    rows = full_sequences(training_sequences(interactions, users, "both", vocabulary), users)
    positions = rows.positions(vocabulary)
    ids = sorted(vocabulary.item_ids, key=lambda item: (len(item), item) if item.isdecimal() else (0, item))
    return MadeTables(
        positions.select("user_id", "target", "prefix_length", next_id="item_id"),
        pl.DataFrame({"number": np.arange(len(ids)), "item_id": ids}),
    )


def check_order(folder: Path, lists: pl.DataFrame, made: MadeTables, missing: list[str]) -> str:
    """Return a notice about what was made; refuse lists that fit other lines as well as their own."""
    listed, next_ids = lists["item_ids"].to_list(), lists["next_id"].to_list()
    hit = _hit_rate(listed, next_ids)
    by_chance = float(
        np.mean([_hit_rate(listed, next_ids[shift:] + next_ids[:shift]) for shift in _shifts(len(listed))])
    )
    numbers = f"the next item is in {hit:.1%} of the lists, in {by_chance:.1%} if each is given to another line"
    if hit <= by_chance:
        raise InputError(
            f"{folder}: {numbers}, so its order is not that of the training rows; add {' and '.join(missing)}, written "
            "where the lists were made"
        )
    parts = {ROWS: f"lines are the {made.rows.height} training rows", ITEMS: "numbers count the sorted item ids from 0"}
    return f"{folder} lacks {' and '.join(missing)}: {', '.join(parts[name] for name in missing)}; {numbers}"


def _shifts(rows: int) -> list[int]:
    """Return by how many lines the lists are shifted: neighbours are of the same user, so one line is no chance."""
    return sorted({max(1, rows * part // 8) for part in range(1, 8)})


def _hit_rate(lists: list[list[str]], next_ids: list[str]) -> float:
    return sum(item in listed for listed, item in zip(lists, next_ids, strict=True)) / max(len(lists), 1)
