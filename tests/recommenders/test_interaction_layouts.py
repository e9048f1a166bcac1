"""Interactions as other projects write them: columns, separators, times, and what is left out, with its lines."""

import os
from pathlib import Path

import polars as pl
import pytest

from bench.public_data import VARIABLE
from kitrec.core.errors import InputError
from kitrec.recommenders.data.interaction_files import Interactions, read_interactions
from kitrec.recommenders.data.interaction_table import parse_columns

ROWS = [("u2", "b", 1_260_759_144), ("u1", "a", 1_260_759_179), ("u1", "b", 1_260_759_100), ("u2", "c", 1_260_759_200)]
LISTS = {"u1": ["b", "a"], "u2": ["b", "c"]}
LAYOUTS = {
    "kitrec.csv": ("user,item,time", "{u},{i},{t}"),
    "ratings.csv": ("userId,movieId,rating,timestamp", "{u},{i},4.5,{t}"),
    "common.csv": ("user_id,item_id,timestamp,rating", "{u},{i},{t},3"),
    "games.inter": ("user_id:token\titem_id:token\trating:float\ttimestamp:float", "{u}\t{i}\t5\t{t}"),
    "amazon.csv": ("reviewerID,asin,overall,unixReviewTime", "{u},{i},5.0,{t}"),
    "semicolons.csv": ("User-ID;Item;Date", '"{u}";"{i}";{t}'),
    "spaces.txt": ("user item time", "{u} {i} {t}"),
    "u.data": ("", "{u}\t{i}\t3\t{t}"),
    "ratings.dat": ("", "{u}::{i}::5::{t}"),
    "bom.csv": ("\ufeffuser,item,time", "{u},{i},{t}"),
}


def write(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def lists(read: Interactions) -> dict[str, list[str]]:
    return {user: read.vocabulary.ids(read.sequences[k]) for k, user in enumerate(read.users)}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_interactions(tmp_path, name):
    header, line = LAYOUTS[name]
    lines = [line.format(u=user, i=item, t=time) for user, item, time in ROWS]
    read = read_interactions(write(tmp_path, name, *([header] if header else []), *lines))
    assert lists(read) == LISTS and read.last_times == [1_260_759_179, 1_260_759_200] and read.dropped_rows == 0


def test_columns_of_other_names_are_mapped_by_name_or_position(tmp_path):
    path = write(tmp_path, "own.csv", "who,what,when", *(f"{user},{item},{time}" for user, item, time in ROWS))
    with pytest.raises(InputError, match=r"lacks the column user .*it has who, what, when: name them by --columns"):
        read_interactions(path)
    assert lists(read_interactions(path, columns=parse_columns(["user=who,item=what", "time=when"]))) == LISTS
    bare = write(tmp_path, "bare.csv", *(f"x,{item},{time},{user},7" for user, item, time in ROWS))
    with pytest.raises(InputError, match="no header and no known layout"):
        read_interactions(bare)
    assert lists(read_interactions(bare, columns=parse_columns(["user=4,item=2,time=3"]))) == LISTS
    for option in ("user", "who=user", "user=", "users=who"):
        with pytest.raises(InputError, match="write --columns user=NAME"):
            parse_columns([option])


def test_two_columns_that_could_be_the_item_are_refused_and_an_exact_name_wins(tmp_path):
    path = write(tmp_path, "two.csv", "user_id,asin,parent_asin,timestamp", "u,a,b,1")
    with pytest.raises(InputError, match="item could be asin or parent_asin"):
        read_interactions(path)
    assert lists(read_interactions(path, columns={"item": "parent_asin"})) == {"u": ["b"]}
    assert lists(read_interactions(write(tmp_path, "i.csv", "item,item_id,user,time", "a,7,u,1"))) == {"u": ["a"]}


@pytest.mark.parametrize(
    ("times", "form"),
    [
        (["2009-12-14", "2009/12/13", "2009-12-15T00:00:01Z"], "dates"),
        (["2009-12-14 08:30", "2009-12-14 08:29:59.5", "2009-12-14 08:31+09:00"], "dates"),
        (["20091214", "20091213", "20091215"], "dates"),
        (["1260759144000", "1260759100000", "1260759200000"], "milliseconds"),
        (["1260759144000000", "1260759100000000", "1260759200000000"], "microseconds"),
        (["1260759144", "1260759100.5", "1260759200"], "seconds"),
    ],
)
def test_the_form_of_times_is_recognised_and_said(tmp_path, times, form):
    """The years are those of the calendar, whatever the form."""
    read = read_interactions(write(tmp_path, "t.csv", "user,item,time", *(f"u,{k},{t}" for k, t in enumerate(times))))
    assert read.counts["times"] == form and read.last_years().tolist() == [2009]
    assert (f"times are {form}" in read.notices) == (form != "seconds")
    order = [str(k) for k in sorted(range(3), key=lambda k: pl.Series(times)[k])]
    if form != "dates":
        assert lists(read) == {"u": order}


def test_dates_are_the_seconds_of_their_moment(tmp_path):
    moments = ["1970-01-02", "1970-01-01 00:01", "1970-01-01T00:00:02.5Z", "1970-01-01 09:00:07+09:00", "1969-12-31"]
    read = read_interactions(
        write(tmp_path, "t.csv", "user,item,time", *(f"u{k},a,{t}" for k, t in enumerate(moments)))
    )
    assert read.last_times == [86_400, 60, 2.5, 7, -86_400]


def test_bad_rows_are_counted_by_reason_with_their_lines(tmp_path):
    rows = [
        "u,a,1260759144",
        "u,b,yesterday",
        ",c,1260759145",
        "",
        "u,,1260759146",
        "u,d",
        "u,e,1260759144000",
        "u,f,x",
    ]
    read = read_interactions(write(tmp_path, "bad.csv", "user,item,time", *rows, "u,g,2009-13-01"))
    assert read.dropped_rows == 7 and lists(read) == {"u": ["a"]}
    assert read.counts["rejected"] == {"no user": 1, "no item": 1, "no time that can be read": 5}
    (notice,) = read.notices
    assert notice == (
        "7 unusable rows left out: 1 with no user (line 4), 1 with no item (line 6), 5 with no time that can be read "
        "(line 3 'yesterday', 7 '', 8 '1260759144000', ...)"
    )


def test_a_file_without_a_usable_row_says_why(tmp_path):
    path = write(tmp_path, "bad.csv", "user,item,time", "u,a,14/12/2009", "u,b,15/12/2009")
    with pytest.raises(
        InputError, match=r"no row is usable, 2 with no time .*line 2 '14/12/2009', 3 .*such as 2020-01-31"
    ):
        read_interactions(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("long.csv", b"user,item,time\nu,a,1\nu,b,2,3,4\n", "line 3 has 5 fields, the first line 3"),
        ("long.dat", b"1::2::3::978300760\n1::2::3::978300760::5\n", "line 2 has 5 fields, the first line 4"),
        ("binary.csv", b"\xff\xfe\x00\x01", "is no table"),
        ("empty.csv", b"", "begins with an empty line"),
        ("quote.csv", b'user,item,time\nu,"a,1\n', "is no table"),
    ],
)
def test_a_malformed_file_is_an_error_with_its_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_interactions(tmp_path / name)


def test_the_k_core_is_applied_until_nothing_changes(tmp_path):
    """c has two users, but v falls out with its single item b, and then c has one; w and z hold a and d."""
    rows = ["w,a,1", "w,d,2", "z,a,1", "z,d,2", "z,c,3", "v,c,1", "v,b,2"]
    path = write(tmp_path, "core.csv", "user,item,time", *rows)
    read = read_interactions(path, k_core=2)
    assert lists(read) == {"w": ["a", "d"], "z": ["a", "d"]}
    assert read.counts["k_core"] == {"k": 2, "users": 1, "items": 2, "rows": 3}
    assert "2-core: 1 users, 2 items, 3 rows left out" in read.notices
    with pytest.raises(InputError, match="no 3-core"):
        read_interactions(path, k_core=3)


def test_users_below_the_minimum_are_counted(tmp_path):
    path = write(tmp_path, "few.csv", "user,item,time", "u,a,1", "u,b,2", "v,c,1")
    assert read_interactions(path, 2).notices == (
        "users with fewer than 2 interactions: 1 users, 1 items, 1 rows left out",
    )


@pytest.mark.skipif(
    not (Path(os.environ.get(VARIABLE, "/nowhere")) / "ml100k").is_dir(), reason=f"needs ml100k in {VARIABLE}"
)
def test_public_ratings_are_the_same_in_every_layout(tmp_path):
    """MovieLens-100K: its u.data and RecBole's .inter, written from the public table, and its 20-core."""
    path = Path(os.environ[VARIABLE]) / "ml100k/interactions.tsv"
    table, expected = pl.read_csv(path, separator="\t", infer_schema=False), read_interactions(path)
    assert (len(expected.users), len(expected.vocabulary), expected.counts["interactions"]) == (943, 1682, 100_000)
    table.select("user", "item", "rating", "time").write_csv(tmp_path / "u.data", separator="\t", include_header=False)
    header = {"user": "user_id:token", "item": "item_id:token", "rating": "rating:float", "time": "timestamp:float"}
    table.rename(header).write_csv(tmp_path / "ml-100k.inter", separator="\t")
    for name in ("u.data", "ml-100k.inter"):
        assert lists(read_interactions(tmp_path / name)) == lists(expected)
    core = read_interactions(path, k_core=20)
    assert core.sequences.lengths.min() >= 20 and pl.Series(core.sequences.items).value_counts()["count"].min() >= 20
