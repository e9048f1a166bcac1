"""Alignment of a teacher's lists by key: in any order and in windows, missing parts refused or counted."""

import numpy as np
import polars as pl
import pytest

from kitrec.core.errors import InputError
from kitrec.distillation.alignment import align, split_into_windows
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.data.vocabulary import Vocabulary
from tests.distillation.made_teachers import VOCABULARY, made_lists, made_rows, successors, with_keys

ROWS = made_rows(20, seed=3)
LISTS = made_lists(ROWS, successors)


def test_every_position_has_the_list_of_its_own_prefix():
    shuffled = LISTS.sample(fraction=1.0, shuffle=True, seed=5)
    aligned = align(shuffled, ROWS, VOCABULARY, topk=3, missing="refuse")
    for user in range(20):
        items, start = ROWS.sequences[user], ROWS.sequences.starts[user]
        assert aligned.list_of_position[start] == -1  # the first item has no prefix
        for length in range(1, len(items)):
            assert aligned.items[aligned.list_of_position[start + length]].tolist() == successors(items, length)
    assert aligned.distances[0].tolist() == [0.0, 0.5, 1.0]
    assert aligned.counts["rows"] == aligned.counts["distilled rows"] == LISTS.height


def test_a_list_is_read_to_its_topk():
    aligned = align(LISTS, ROWS, VOCABULARY, topk=2, missing="refuse")
    assert aligned.items.shape == (LISTS.height, 2)


@pytest.mark.parametrize("overlap", [0, 1])
def test_windows_of_a_sequence_keep_its_positions(overlap):
    rows = with_keys(sequences_from_lists([range(1, 14), [5, 6, 7], [9], range(3, 14)]))
    windows = split_into_windows(rows, max_length=5, overlap=overlap)
    assert windows.sequences.lengths.max() == 5
    aligned = align(made_lists(rows, successors), windows, VOCABULARY, topk=3, missing="refuse")
    for window in range(len(windows.sequences)):
        sequence = rows.sequences[int(windows.keys["user_id"][window][1:])]
        items, start = windows.sequences[window], windows.sequences.starts[window]
        offset = windows.offsets[window]
        assert items.tolist() == sequence[offset : offset + len(items)].tolist()
        for within in range(len(items)):
            index = aligned.list_of_position[start + within]
            expected = successors(sequence, offset + within) if offset + within else None
            assert (aligned.items[index].tolist() if index >= 0 else None) == expected


def test_every_position_is_a_target_of_one_window_only():
    rows = with_keys(sequences_from_lists([range(1, 24), range(1, 12), [4]]))
    windows = split_into_windows(rows, max_length=11, overlap=1)
    targets = [
        (windows.keys["user_id"][window], int(windows.offsets[window]) + within)
        for window in range(len(windows.sequences))
        for within in range(1, len(windows.sequences[window]))
    ]
    assert sorted(targets) == sorted([("u0", p) for p in range(1, 23)] + [("u1", p) for p in range(1, 11)])


def test_shifted_rows_are_always_refused():
    shifted = LISTS.with_columns(pl.col("next_id").shift(1).fill_null("i01"))
    for missing in ("refuse", "mask"):
        with pytest.raises(InputError, match="state another next item"):
            align(shifted, ROWS, VOCABULARY, 3, missing)


def test_lists_without_a_next_item_are_matched_by_key():
    unstated = LISTS.with_columns(next_id=pl.lit(None, dtype=pl.String))
    assert align(unstated, ROWS, VOCABULARY, 3, "refuse").counts["distilled rows"] == LISTS.height


def test_shifted_rows_without_a_next_item_are_refused_too():
    shifted = LISTS.with_columns(pl.col("prefix_length") + 1, next_id=pl.lit(None, dtype=pl.String))
    for missing in ("refuse", "mask"):
        with pytest.raises(InputError, match=r"may be shifted|does not fit"):
            align(shifted, ROWS, VOCABULARY, 3, missing)


def with_unknown_item(row: int, rank: int) -> pl.DataFrame:
    rows = LISTS.to_dicts()
    rows[row]["item_ids"][rank] = "another"
    return pl.DataFrame(rows, schema=LISTS.schema)


@pytest.mark.parametrize(
    ("lists", "topk", "message"),
    [
        (LISTS[2:], 3, "2 rows without a list .*the first row without: user u"),
        (with_unknown_item(4, 1), 3, "1 listed items that the student does not know"),
        (LISTS, 4, f"{LISTS.height} lists shorter than 4"),
        (pl.concat([LISTS, LISTS[:1].with_columns(user_id=pl.lit("stranger"))]), 3, "1 lists of unknown rows"),
    ],
)
def test_what_is_missing_is_refused_or_counted(lists, topk, message):
    with pytest.raises(InputError, match=message):
        align(lists, ROWS, VOCABULARY, topk, "refuse")
    aligned = align(lists, ROWS, VOCABULARY, topk, "mask")
    count, what = message.split(" .*")[0].split(" ", 1)
    assert aligned.counts[what] == int(count)


def test_a_masked_item_leaves_its_rank_empty():
    aligned = align(with_unknown_item(4, 1), ROWS, VOCABULARY, 3, "mask")
    assert (aligned.items[4, 1], aligned.distances[4, 1]) == (0, np.inf)
    assert aligned.items[4, 2] == VOCABULARY.numbers(LISTS["item_ids"][4])[2]
    without = align(LISTS[2:], ROWS, VOCABULARY, 3, "mask")
    assert without.counts["distilled rows"] == LISTS.height - 2


def test_a_list_of_unknown_items_only_distils_nothing():
    rows = LISTS.to_dicts()
    rows[0]["item_ids"] = ["x", "y", "z"]
    aligned = align(pl.DataFrame(rows, schema=LISTS.schema), ROWS, VOCABULARY, 3, "mask")
    assert aligned.counts["distilled rows"] == LISTS.height - 1
    assert 0 not in aligned.list_of_position


def test_duplicate_rows_and_nan_are_refused_in_memory_too():
    with pytest.raises(InputError, match="2 duplicate rows"):
        align(pl.concat([LISTS, LISTS[:1]]), ROWS, VOCABULARY, 3, "mask")
    rows = LISTS.to_dicts()
    rows[0]["distances"] = [0.0, float("nan"), 1.0]
    with pytest.raises(InputError, match="1 distances that are not finite"):
        align(pl.DataFrame(rows, schema=LISTS.schema), ROWS, VOCABULARY, 3, "mask")


@pytest.mark.parametrize(("column", "value"), [("item_ids", ["i01", "i01", "i02"]), ("distances", [0.0, 1.0])])
def test_a_list_with_an_item_twice_or_without_its_distance_is_refused(column, value):
    rows = LISTS.to_dicts()
    rows[3][column] = value
    with pytest.raises(InputError, match="lists an item twice in a row, or lacks the distance of an item"):
        align(pl.DataFrame(rows, schema=LISTS.schema), ROWS, VOCABULARY, 3, "mask")


def test_lists_of_other_users_are_refused():
    other = Vocabulary(f"i{number:02d}" for number in range(1, 41))
    strangers = LISTS.with_columns(pl.lit("stranger").alias("user_id") + pl.col("user_id"))
    with pytest.raises(InputError, match="has no list for any row"):
        align(strangers, ROWS, other, 3, "mask")


@pytest.mark.parametrize(
    ("missing", "message"), [("mask", "has no list for any row"), ("refuse", "that the student does not know")]
)
def test_lists_of_other_items_are_refused(missing, message):
    renamed = LISTS.with_columns(pl.col("item_ids").list.eval("other " + pl.element()))
    with pytest.raises(InputError, match=message):
        align(renamed, ROWS, VOCABULARY, 3, missing)
