"""Tables of one's own: formats, hostile rows, untitled items, domains, reserved users."""

import csv
import json

import polars as pl
import pytest

from kitrec.core.domains import Domains
from kitrec.core.errors import InputError
from kitrec.sources import own_tables
from kitrec.sources.quarantine import Quarantine

DOMAINS = Domains(source="games", targets=("films",), labels={"games": "Video Games", "films": "Films"})
ITEMS = [
    ("G1", "games", 'The "Best" of 7" Heroes', "Action|Role, Playing", "A &amp; B", "2001"),
    ("G2", "games", "Tab’s\u2028End", "", "", ""),
    ("F1", "films", '"Quoted', "Drama", "", "1999-01-01"),
    ("F2", "films", "", "", "no title", ""),
    ("F3", "films", "Never watched", "", "", ""),
]
ROWS = [
    ("u1", "games", "G1", "4", "1500000000"),
    ("u1", "films", "F1", "5", "1500000009"),
    ("u1", "films", "F2", "2.5", "1500000008"),
    ("u2", "games", "G2", "3", "1500000001"),
    ("u2", "games", "G2", "1", "1500000007"),  # again, later
]
ITEM_COLUMNS = ("item", "domain", "title", "categories", "description", "year")
COLUMNS = ("user", "domain", "item", "rating", "time")


def write(folder, stem, columns, rows, suffix=".tsv"):
    path = folder / f"{stem}{suffix}"
    if suffix == ".parquet":
        frame = pl.DataFrame(rows, schema=list(columns), orient="row")
        typed = {"rating": pl.Float64, "time": pl.Int64}
        frame.with_columns(pl.col(name).cast(dtype) for name, dtype in typed.items() if name in columns).write_parquet(
            path
        )
    elif suffix == ".csv":
        with path.open("w", newline="") as stream:
            csv.writer(stream).writerows([columns, *rows])
    else:
        path.write_text("\n".join("\t".join(row) for row in [columns, *rows]) + "\n")
    return path


def load(folder, untitled="keep", domains=DOMAINS):
    rejects = Quarantine()
    return own_tables.load(folder, domains, untitled, rejects), rejects


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, "items", ITEM_COLUMNS, ITEMS)
    write(tmp_path, "interactions", COLUMNS, ROWS)
    return tmp_path


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".parquet"])
def test_every_format_gives_the_same_tables(folder, tmp_path_factory, suffix):
    other = tmp_path_factory.mktemp("other")
    write(other, "items", ITEM_COLUMNS, ITEMS, suffix)
    write(other, "interactions", COLUMNS, ROWS, suffix)
    (first, rejects), (second, others) = load(folder), load(other)
    assert first.items.equals(second.items) and first.interactions.equals(second.interactions)
    assert rejects.rejects == others.rejects == [] and rejects.read == others.read == 10


def test_titles_keep_their_quotation_marks(folder):
    titles = dict(load(folder)[0].items.select("item_id", "title").iter_rows())
    assert titles == {"G1": 'The "Best" of 7" Heroes', "G2": "Tab’s End", "F1": '"Quoted', "F2": None}


def test_items_have_what_prompts_show(folder):
    rows = {row["item_id"]: row for row in load(folder)[0].items.iter_rows(named=True)}
    assert rows["G1"]["categories"] == ["Action", "Role Playing"] and rows["G1"]["description"] == "A & B"
    assert (rows["G1"]["year"], rows["F1"]["year"], rows["G2"]["year"]) == (2001, 1999, None)
    assert "F3" not in rows  # nobody has it, so it would be recognised as a negative


def test_the_newest_interaction_with_an_item_counts(folder):
    tables, _ = load(folder)
    assert [row[2:] for row in tables.interactions.rows()] == [
        ("G1", 4.0, 1500000000),
        ("F2", 2.5, 1500000008),
        ("F1", 5.0, 1500000009),
        ("G2", 1.0, 1500000007),
    ]
    assert tables.counts["older_interactions_with_the_same_item"] == 1
    assert (tables.counts["ratings"], tables.counts["time"]) == ("explicit", "clock")


@pytest.mark.parametrize("drop", [(), ("rating",), ("rating", "time")])
def test_ratings_of_one_alone_are_implicit_and_order_replaces_time(tmp_path, drop):
    kept = [k for k, name in enumerate(COLUMNS) if name not in drop]
    rows = [(user, domain, item, "1", str(k)) for k, (user, domain, item, *_) in enumerate(ROWS[:4])]
    write(tmp_path, "items", ITEM_COLUMNS, ITEMS)
    write(tmp_path, "interactions", [COLUMNS[k] for k in kept], [[row[k] for k in kept] for row in rows])
    tables, _ = load(tmp_path)
    assert tables.counts["ratings"] == "implicit" and tables.interactions["rating"].null_count() == 4
    assert tables.counts["time"] == ("order of the rows" if drop[-1:] == ("time",) else "position")
    assert tables.interactions["item_id"].to_list() == ["G1", "F1", "F2", "G2"]


def test_bad_rows_are_rejected_with_their_line_and_reason(folder):
    bad = [
        ("u3", "films", "F1", "5", "1"),
        ("u3", "films", "F1", "many", "1"),
        ("u3", "films", "F1", "7", "1"),
        ("u3", "films", "F1", "5", "noon"),
        ("u3", "films", "nothing", "5", "1"),
        ("u3", "games", "F1", "5", "1"),
        ("", "films", "F1", "5", "1"),
        ("u3", "films", "", "5", "1"),
        ("u3", "films", "F1", "5"),
        ("u3", "films", "F1", "5", "1", "x"),
        ("u3", "boats", "B1", "5", "1"),  # of a domain that is not asked for: no defect
    ]
    write(folder, "interactions", COLUMNS, [*ROWS, *bad])
    with (folder / "interactions.tsv").open("ab") as stream:
        stream.write(b"u\xff\tfilms\tF1\t5\t1\n\n")
    tables, rejects = load(folder)
    assert {(reject.line, reject.reason) for reject in rejects.rejects} == {
        (8, "rating is no number"),
        (9, "rating outside 1-5"),
        (10, "time is no whole number"),
        (11, "item is not among the items"),
        (12, "item is not among the items"),
        (13, "no user"),
        (14, "no item"),
        (15, "4 fields instead of 5"),
        (16, "6 fields instead of 5"),
        (18, "bytes that are no UTF-8"),
    }
    assert rejects.read == 5 + len(ROWS) + len(bad) + 1
    assert tables.counts["rows_of_other_domains"] == 1 and tables.interactions.height == 5


def test_bad_items_are_rejected(folder):
    write(
        folder, "items", ITEM_COLUMNS, [*ITEMS, ("G1", "games", "Again", "", "", ""), ("a b", "games", "x", "", "", "")]
    )
    _, rejects = load(folder)
    assert sorted(reject.reason for reject in rejects.rejects) == [
        "item id of other characters than letters, digits, _ and -",
        "the item's second row",
    ]


def test_untitled_items_are_kept_or_shown_by_id_or_dropped_and_counted(folder):
    found = {policy: load(folder, policy)[0] for policy in ("keep", "show_id", "drop")}
    titles = {
        policy: dict(t.items.select("item_id", "title").iter_rows()).get("F2", "-") for policy, t in found.items()
    }
    assert titles == {"keep": None, "show_id": "F2", "drop": "-"}
    assert {policy: t.interactions.height for policy, t in found.items()} == {"keep": 4, "show_id": 4, "drop": 3}
    for policy, tables in found.items():
        counts = {"games": 0, "films": 1}
        assert tables.counts["untitled"] == {"policy": policy, "items": counts, "interactions": counts}
    assert not found["show_id"].items.filter(pl.col("item_id") == "F2")["has_metadata"].any()


def test_the_first_category_may_name_the_domain_and_short_numbers_get_it_in_front(tmp_path):
    write(tmp_path, "items", ("item", "title", "categories"), [("0", "x", "Video Games|a b"), ("20", "y", "FILMS|c")])
    write(tmp_path, "interactions", ("user", "item"), [("u", "0"), ("u", "20")])
    tables, _ = load(tmp_path)
    assert tables.items.select("domain", "item_id", "categories").rows() == [
        ("games", "games-0", ["a b"]),
        ("films", "films-20", ["c"]),
    ]
    assert tables.counts["item_ids"] == "domain-id"


def test_an_id_of_two_domains_is_two_items(tmp_path):
    write(tmp_path, "items", ("item", "domain", "title"), [("witcher", "games", "x"), ("witcher", "films", "y")])
    write(tmp_path, "interactions", ("user", "domain", "item"), [("u", "games", "witcher"), ("u", "films", "witcher")])
    assert load(tmp_path)[0].interactions["item_id"].to_list() == ["games-witcher", "films-witcher"]


def test_users_of_the_test_split_are_reserved(folder):
    assert load(folder)[0].test_users is None
    write(folder, "user_split", ("user", "source_split"), [("u1", "train_overlap"), ("u2", "test"), ("u9", "TEST2")])
    assert load(folder)[0].test_users == {"u2", "u9"}
    write(folder, "user_split", ("user", "split"), [("u1", "train")])
    with pytest.raises(InputError, match="no user whose split begins with `test`"):
        load(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "items.tsv").unlink(), "lacks items.{tsv,csv,parquet}"),
        (lambda f: write(f, "items", ITEM_COLUMNS, ITEMS, ".csv"), "the same table twice"),
        (lambda f: (f / "items.tsv").write_text(""), "has no row|is empty|lacks the columns"),
        (lambda f: write(f, "items", ("item", "name"), [("a", "b")]), "lacks the columns title; it has item, name"),
        (lambda f: write(f, "items", ("item", "title"), [("a", "b")]), "no column domain"),
        (lambda f: write(f, "interactions", COLUMNS, ROWS[:1]), "no usable row of films"),
        (lambda f: write(f, "interactions", ("user", "user"), [("a", "b")]), "names a column twice"),
        (lambda f: (f / "items.tsv").rename(f / "items.parquet"), "is no parquet file"),
    ],
)
def test_wrong_files_are_named(folder, damage, message):
    damage(folder)
    with pytest.raises(InputError, match=message):
        load(folder)


def test_domains_are_named_once_and_have_labels():
    with pytest.raises(ValueError, match="films missing"):
        Domains(source="games", targets=("films",), labels={"games": "Games"})
    with pytest.raises(ValueError, match="named twice"):
        Domains(source="games", targets=("games",), labels={"games": "Games"})
    assert json.loads(json.dumps(list(DOMAINS.user_types))) == [
        "overlapping_games_films",
        "cold_start_4core_films",
        "cold_start_3core_films",
        "cold_start_2core_films",
        "source_only_films",
    ]
    assert DOMAINS.models == ("dualft-films", "singleft-films")
