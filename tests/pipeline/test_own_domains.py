"""`prepare` on domains that are not KitREC's: two real data sets where they lie beside the project, and a made one."""

import os
import shutil
from pathlib import Path

import polars as pl
import pytest

from bench.clone import ROOT
from kitrec.config import profiles
from kitrec.core import files
from kitrec.core.errors import InputError
from stages import check_params, prepare

SHARED = ROOT.parent / "shared/data"
NAMES = {"books_movies": "amazon_books_movies", "art_office": "amazon_art_office_urllm"}
LIMIT = 20  # users of each type and role


def prepared(folder: Path, name: str, *others: str, limit: int | None = LIMIT) -> Path:
    """Run the first two stages in a folder that has params, profiles and raw data, but no copy of the code."""
    source = SHARED / NAMES[name]
    if not source.is_dir():
        pytest.skip(f"{source} is not there: real data lie outside the repository")
    (folder / "raw").mkdir()
    for file in ("interactions.tsv", "items.tsv", *others):
        shutil.copyfile(source / file, folder / "raw" / file)
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    (folder / "conf").symlink_to(ROOT / "conf")
    before = Path.cwd()
    os.chdir(folder)
    try:
        profiles.use(Path("params.yaml"), [f"dataset={name}"])
        profiles.put(Path("params.yaml"), {"source.limit": limit})
        check_params.main()
        prepare.main(quiet=True)
    finally:
        os.chdir(before)
    return folder


def read_tsv(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, separator="\t", quote_char=None, infer_schema=False)


@pytest.fixture(scope="module")
def books_movies(tmp_path_factory) -> Path:
    return prepared(tmp_path_factory.mktemp("bm"), "books_movies")


@pytest.fixture(scope="module")
def art_office(tmp_path_factory) -> Path:
    return prepared(tmp_path_factory.mktemp("ao"), "art_office")


@pytest.mark.parametrize(
    ("name", "source", "target"), [("books_movies", "books", "movies"), ("art_office", "art", "office")]
)
def test_real_people_of_every_type_without_a_leak(request, name, source, target):
    folder = request.getfixturevalue(name)
    figures = files.read_json(folder / "metrics/data.json")
    types = [*(f"cold_start_{n}core_{target}" for n in (2, 3, 4)), f"overlapping_{source}_{target}"]
    types += [f"source_only_{target}"]
    assert figures["records"]["test"] == dict.fromkeys(types, LIMIT)
    assert figures["leaks"] == {"A": {}, "B": {}} and figures["rejected"] == {}
    assert figures["ratings"] == "implicit" and figures["cut"]["users"]["test"][f"source_only_{target}"] > LIMIT / 2
    assert set(figures["interactions"]["train"]) == {source, target}
    records = pl.read_parquet(folder / "data/records/setA/test.parquet")
    prefix = f"{target}-" if name == "art_office" else ""
    rows = read_tsv(folder / "raw/interactions.tsv").group_by("user").agg("item")
    had = {user: {f"{prefix}{item}" for item in items} for user, items in rows.iter_rows()}
    for record in records.iter_rows(named=True):
        assert set(record["candidate_ids"]) & had[record["user_id"]] == {record["gt_item_id"]}
        assert record["gt_rating"] is None and len(record["target_items"]) == record["core"] - 1


def test_titles_of_real_items_are_those_of_the_file(books_movies):
    listed = read_tsv(books_movies / "raw/items.tsv").filter(pl.col("title").str.strip_chars() != "")
    titles = dict(listed.select("item", "title").iter_rows())
    items = pl.read_parquet(books_movies / "data/items.parquet")
    assert items["title"].null_count() == 0
    plain = [(i, t) for i, t in items.select("item_id", "title").iter_rows() if not set("&<|") & set(titles[i])]
    equal = sum(" ".join(titles[i].split()) == t for i, t in plain)
    assert equal > 0.99 * len(plain)  # the others are longer than a title may be


@pytest.mark.slow
def test_the_profile_has_enough_people_of_every_type(tmp_path):
    folder = prepared(tmp_path, "books_movies", limit=None)
    counts = files.read_json(folder / "metrics/data.json")["records"]["test"]
    assert sum(counts.values()) == 1000 and set(counts.values()) == {200}


def test_fewer_people_than_asked_for_are_told_by_type(tmp_path):
    with pytest.raises(InputError, match=r"of them reserved for tests.*lower users.train"):
        prepared(tmp_path, "books_movies", "user_split.tsv", limit=None)
