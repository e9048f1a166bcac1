import polars as pl
import pytest

from kitrec.core.shards import Clocked, in_shards
from kitrec.core.tables import Table

SQUARES = Table("squares", {"n": pl.Int64, "square": pl.Int64}, key=("n",))


def squares(part: slice) -> pl.DataFrame:
    n = list(range(part.start, min(part.stop, 7)))
    return pl.DataFrame({"n": n, "square": [k * k for k in n]})


def test_a_killed_run_repeats_one_shard_at_most_and_the_watcher_hears_of_every_row(tmp_path):
    def breaks(part: slice) -> pl.DataFrame:
        if part.start >= 4:
            raise KeyboardInterrupt
        return squares(part)

    heard: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        in_shards(7, 2, tmp_path, SQUARES, breaks, heard.append)
    assert heard == [2, 2]
    made = Clocked(squares)
    found = in_shards(7, 2, tmp_path, SQUARES, made, heard.append)
    assert found["square"].to_list() == [0, 1, 4, 9, 16, 25, 36]
    assert made.rows == 3 and made.told()["records"] == 3
    assert heard == [2, 2, 2, 2, 2, 1]


def test_a_clock_counts_what_was_made_and_how_long_it_took(tmp_path, monkeypatch):
    times = iter([0.0, 1.5, 10.0, 12.0])  # two shards, of 1.5 and 2 seconds
    monkeypatch.setattr("kitrec.core.shards.time.perf_counter", lambda: next(times))
    made = Clocked(squares)
    in_shards(4, 2, tmp_path, SQUARES, made)
    assert made.told() == {"seconds": 3.5, "records": 4}


def test_no_rows_are_an_empty_table_of_the_same_columns(tmp_path):
    found = in_shards(0, 2, tmp_path, SQUARES, squares)
    assert found.schema == pl.Schema(SQUARES.columns) and not found.height
