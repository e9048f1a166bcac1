import polars as pl
import pytest

from kitrec.core.shards import TimedShards, compute_in_shards
from kitrec.core.tables import Table

SQUARES = Table("squares", {"n": pl.Int64, "square": pl.Int64}, key=("n",))


def squares(rows: slice) -> pl.DataFrame:
    n = list(range(rows.start, min(rows.stop, 7)))
    return pl.DataFrame({"n": n, "square": [k * k for k in n]})


def test_a_killed_run_repeats_at_most_one_shard_and_reports_every_row(tmp_path):
    def interrupted(rows: slice) -> pl.DataFrame:
        if rows.start >= 4:
            raise KeyboardInterrupt
        return squares(rows)

    reported: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        compute_in_shards(7, 2, tmp_path, SQUARES, interrupted, reported.append)
    assert reported == [2, 2]
    timed = TimedShards(squares)
    table = compute_in_shards(7, 2, tmp_path, SQUARES, timed, reported.append)
    assert table["square"].to_list() == [0, 1, 4, 9, 16, 25, 36]
    assert timed.rows == 3 and timed.cost()["records"] == 3
    assert reported == [2, 2, 2, 2, 2, 1]


def test_the_cost_counts_the_rows_computed_here_and_their_seconds(tmp_path, monkeypatch):
    times = iter([0.0, 1.5, 10.0, 12.0])  # two shards, of 1.5 and 2 seconds
    monkeypatch.setattr("kitrec.core.shards.time.perf_counter", lambda: next(times))
    timed = TimedShards(squares)
    compute_in_shards(4, 2, tmp_path, SQUARES, timed)
    assert timed.cost() == {"seconds": 3.5, "records": 4}


def test_no_rows_give_an_empty_table_of_the_same_columns(tmp_path):
    table = compute_in_shards(0, 2, tmp_path, SQUARES, squares)
    assert table.schema == pl.Schema(SQUARES.columns) and not table.height
