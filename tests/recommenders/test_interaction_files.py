"""User-supplied interaction files: order, dropped rows, refused files, years of last interactions."""

from pathlib import Path

import numpy as np
import pytest

from kitrec.core.errors import InputError
from kitrec.recommenders.data.interaction_files import read_interactions


def write(folder: Path, name: str, *rows: str) -> Path:
    path = folder / name
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_empty_names_are_dropped(tmp_path):
    read = read_interactions(write(tmp_path, "i.CSV", "user,item,time", '"",b,7', 'u,"",3', "u,a,1"))
    assert (read.users, read.dropped_rows) == (["u"], 2)


def test_interactions_are_sorted_by_time_and_bad_rows_counted(tmp_path):
    path = write(tmp_path, "i.csv", "user,item,time,rating", "u,b,2,5", "u,a,1,5", "v,c,x,1", "v,a,3,", "u,c,2,1")
    read = read_interactions(path)
    assert read.users == ["u", "v"] and read.dropped_rows == 1 and read.last_times == [2.0, 3.0]
    assert [read.vocabulary.ids(read.sequences[k]) for k in range(2)] == [["a", "b", "c"], ["a"]]
    assert read_interactions(path, min_interactions=2).users == ["u"]


@pytest.mark.parametrize(
    ("rows", "message"), [(["user,thing,time", "u,a,1"], "lacks the column item"), (["user,item,time"], "no user has")]
)
def test_a_file_without_interactions_is_refused(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        read_interactions(write(tmp_path, "i.csv", *rows))


def test_the_last_year_is_the_calendar_year_of_the_last_interaction(tmp_path):
    moments = {"u": "2004-12-31T23:59:59", "v": "2005-01-01T00:00:00", "w": "1971-01-01T00:00:01"}
    rows = [f"{user},a,{int(np.datetime64(moment, 's').astype(int))}" for user, moment in moments.items()]
    assert read_interactions(write(tmp_path, "i.csv", "user,item,time", *rows)).last_years().tolist() == [
        2004,
        2005,
        1971,
    ]
    for far in ("1e30", "-1e30"):
        with pytest.raises(InputError, match="no time that can be read"):
            read_interactions(write(tmp_path, "m.csv", "user,item,time", f"u,a,{far}"))


@pytest.mark.parametrize("time", ["nan", "inf", "-inf"])
def test_an_interaction_without_a_numeric_time_is_dropped(time, tmp_path):
    read = read_interactions(write(tmp_path, "i.csv", "user,item,time", f"u,a,{time}", "u,b,1"))
    assert (read.dropped_rows, read.last_times) == (1, [1.0])
