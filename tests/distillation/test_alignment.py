"""A teacher's lines find their places by name: in any order, in parts of sequences, with gaps named or counted."""

import numpy as np
import polars as pl
import pytest

from kitrec.core.errors import InputError
from kitrec.distillation.alignment import align, cut
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.data.vocabulary import Vocabulary
from tests.distillation.made_teachers import VOCABULARY, lists_of, named, neighbours, some_rows

ROWS = some_rows(20, seed=3)
TEACHER = lists_of(ROWS, neighbours)


def test_every_place_has_the_list_of_its_own_past():
    found = align(TEACHER.sample(fraction=1.0, shuffle=True, seed=5), ROWS, VOCABULARY, topk=3, gaps="refuse")
    for user in range(20):
        items, start = ROWS.sequences[user], ROWS.sequences.starts[user]
        assert found.of_place[start] == -1  # nothing came before the first item
        for seen in range(1, len(items)):
            assert found.items[found.of_place[start + seen]].tolist() == neighbours(items, seen)
    assert found.distances[0].tolist() == [0.0, 0.5, 1.0]
    assert found.told["rows"] == found.told["distilled rows"] == TEACHER.height


def test_a_list_is_read_to_its_topk():
    found = align(TEACHER, ROWS, VOCABULARY, topk=2, gaps="refuse")
    assert found.items.shape == (TEACHER.height, 2)


@pytest.mark.parametrize("shared", [0, 1])
def test_parts_of_a_sequence_know_what_was_skipped(shared):
    rows = named(sequences_from_lists([range(1, 14), [5, 6, 7], [9], range(3, 14)]))
    parts = cut(rows, longest=5, shared=shared)
    assert parts.sequences.lengths.max() == 5
    found = align(lists_of(rows, neighbours), parts, VOCABULARY, topk=3, gaps="refuse")
    for part in range(len(parts.sequences)):
        whole = rows.sequences[int(parts.who["user_id"][part][1:])]
        skipped, start = parts.skipped[part], parts.sequences.starts[part]
        assert parts.sequences[part].tolist() == whole[skipped : skipped + len(parts.sequences[part])].tolist()
        for within in range(len(parts.sequences[part])):
            line = found.of_place[start + within]
            expected = neighbours(whole, skipped + within) if skipped + within else None
            assert (found.items[line].tolist() if line >= 0 else None) == expected


def test_every_place_is_a_target_of_one_part_alone():
    rows = named(sequences_from_lists([range(1, 24), range(1, 12), [4]]))
    parts = cut(rows, longest=11, shared=1)
    targets = [
        (parts.who["user_id"][part], int(parts.skipped[part]) + within)
        for part in range(len(parts.sequences))
        for within in range(1, len(parts.sequences[part]))
    ]
    assert sorted(targets) == sorted([("u0", p) for p in range(1, 23)] + [("u1", p) for p in range(1, 11)])


def test_shifted_rows_are_refused_whatever_the_gaps():
    shifted = TEACHER.with_columns(pl.col("next_id").shift(1).fill_null("i01"))
    for gaps in ("refuse", "mask"):
        with pytest.raises(InputError, match="tell another next item"):
            align(shifted, ROWS, VOCABULARY, 3, gaps)


def test_a_teacher_that_tells_no_next_item_is_taken_by_name():
    silent = TEACHER.with_columns(next_id=pl.lit(None, dtype=pl.String))
    assert align(silent, ROWS, VOCABULARY, 3, "refuse").told["distilled rows"] == TEACHER.height


def test_shifted_rows_that_tell_no_next_item_are_refused_too():
    shifted = TEACHER.with_columns(pl.col("seen") + 1, next_id=pl.lit(None, dtype=pl.String))
    for gaps in ("refuse", "mask"):
        with pytest.raises(InputError, match=r"may be shifted|does not fit"):
            align(shifted, ROWS, VOCABULARY, 3, gaps)


def unknown_at(line: int, rank: int) -> pl.DataFrame:
    rows = TEACHER.to_dicts()
    rows[line]["item_ids"][rank] = "another"
    return pl.DataFrame(rows, schema=TEACHER.schema)


@pytest.mark.parametrize(
    ("teacher", "topk", "said"),
    [
        (TEACHER[2:], 3, "2 rows without a list .*the first row without: reader u"),
        (unknown_at(4, 1), 3, "1 listed items that the student does not know"),
        (TEACHER, 4, f"{TEACHER.height} lists shorter than 4"),
        (pl.concat([TEACHER, TEACHER[:1].with_columns(user_id=pl.lit("stranger"))]), 3, "1 lists of unknown rows"),
    ],
)
def test_gaps_are_refused_or_counted(teacher, topk, said):
    with pytest.raises(InputError, match=said):
        align(teacher, ROWS, VOCABULARY, topk, "refuse")
    found = align(teacher, ROWS, VOCABULARY, topk, "mask")
    count, what = said.split(" .*")[0].split(" ", 1)
    assert found.told[what] == int(count)


def test_masked_is_masked_not_moved():
    found = align(unknown_at(4, 1), ROWS, VOCABULARY, 3, "mask")
    assert (found.items[4, 1], found.distances[4, 1]) == (0, np.inf)
    assert found.items[4, 2] == VOCABULARY.numbers(TEACHER["item_ids"][4])[2]
    without = align(TEACHER[2:], ROWS, VOCABULARY, 3, "mask")
    assert without.told["distilled rows"] == TEACHER.height - 2


def test_a_list_of_strangers_only_distils_nothing():
    rows = TEACHER.to_dicts()
    rows[0]["item_ids"] = ["x", "y", "z"]
    found = align(pl.DataFrame(rows, schema=TEACHER.schema), ROWS, VOCABULARY, 3, "mask")
    assert found.told["distilled rows"] == TEACHER.height - 1
    assert 0 not in found.of_place


def test_doubled_rows_and_nan_are_refused_in_memory_too():
    with pytest.raises(InputError, match="2 doubled rows"):
        align(pl.concat([TEACHER, TEACHER[:1]]), ROWS, VOCABULARY, 3, "mask")
    rows = TEACHER.to_dicts()
    rows[0]["distances"] = [0.0, float("nan"), 1.0]
    with pytest.raises(InputError, match="1 distances that are no numbers"):
        align(pl.DataFrame(rows, schema=TEACHER.schema), ROWS, VOCABULARY, 3, "mask")


@pytest.mark.parametrize(("column", "value"), [("item_ids", ["i01", "i01", "i02"]), ("distances", [0.0, 1.0])])
def test_a_list_with_an_item_twice_or_without_its_distance_is_refused(column, value):
    rows = TEACHER.to_dicts()
    rows[3][column] = value
    with pytest.raises(InputError, match="lists an item twice in a row, or has not a distance for every item"):
        align(pl.DataFrame(rows, schema=TEACHER.schema), ROWS, VOCABULARY, 3, "mask")


def test_other_readers_are_refused():
    other = Vocabulary(f"i{number:02d}" for number in range(1, 41))
    strangers = TEACHER.with_columns(pl.lit("stranger").alias("user_id") + pl.col("user_id"))
    with pytest.raises(InputError, match="speaks of no row"):
        align(strangers, ROWS, other, 3, "mask")


@pytest.mark.parametrize(("gaps", "said"), [("mask", "speaks of no row"), ("refuse", "that the student does not know")])
def test_lists_of_other_items_teach_nobody(gaps, said):
    renamed = TEACHER.with_columns(pl.col("item_ids").list.eval("other " + pl.element()))
    with pytest.raises(InputError, match=said):
        align(renamed, ROWS, VOCABULARY, 3, gaps)
