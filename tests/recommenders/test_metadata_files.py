"""Metadata files and the items table as inputs of BERT4Rec; release years."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from kitrec.core.errors import InputError
from kitrec.recommenders.data import title_vectors
from kitrec.recommenders.data.item_features import build_item_features
from kitrec.recommenders.data.metadata_files import read_metadata, read_years
from kitrec.recommenders.data.vocabulary import Vocabulary

VOCABULARY = Vocabulary(["a", "b", "c"])


def write(folder: Path, name: str, *rows: str) -> Path:
    path = folder / name
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_metadata_files_report_unknown_and_missing_items_and_drop_duplicates(tmp_path):
    write(tmp_path, "genres.tsv", "item\tgenre", "a\tDrama", "a\tComedy", "a\tDrama", "x\tWestern", "b\tDrama")
    read = read_metadata(tmp_path, VOCABULARY, ["genre", "director"])
    lists = read.features.values["genre"]
    assert [lists[k].tolist() for k in range(5)] == [[], [0, 1], [1], [], []] and read.features.counts == {"genre": 2}
    assert read.notices == [
        "genres.tsv: 1 rows of unknown items left out, 1 items without a row, 2 values",
        f"director is off: there is no {tmp_path / 'directors.tsv'}",
    ]


def test_vectors_and_titles_are_distinguished_by_their_content(tmp_path):
    write(tmp_path, "titles.tsv", "item\ttitle", "a\t0.5 1 2", "c\t1 2 3")
    vectors = read_metadata(tmp_path, VOCABULARY, ["title"]).features.titles
    assert vectors.tolist() == [[0] * 3, [0.5, 1, 2], [0] * 3, [1, 2, 3], [0] * 3]
    write(tmp_path, "titles.tsv", "item\ttitle", "a\t2001", "c\tSolaris")
    with pytest.raises(InputError, match="kitrec title-embeddings"):
        read_metadata(tmp_path, VOCABULARY, ["title"])


@pytest.mark.parametrize("row", ["b\t1 2", "b\t1 x 3"])
def test_a_broken_vector_is_named(tmp_path, row):
    write(tmp_path, "titles.tsv", "item\ttitle", "a\t0.5 1 2", row, "c\t1 2 3")
    with pytest.raises(InputError, match="vectors of 1 items are broken or not 3 wide: b"):
        read_metadata(tmp_path, VOCABULARY, ["title"])


def test_years_are_by_item_number(tmp_path):
    years, _ = read_years(write(tmp_path, "years.tsv", "item\tyear", "c\t1999", "a\tunknown"), VOCABULARY)
    assert np.isnan(years[[0, 1, 2]]).all() and years[3] == 1999


def test_a_date_gives_its_year_the_first_of_several_counts_and_rows_without_a_year_are_reported(tmp_path):
    rows = ["a\t1990-05-01", "b\t2010", "b\t1990.0", "c\tsoon", "x\t2000"]
    years, notice = read_years(write(tmp_path, "years.tsv", "item\tyear", *rows), VOCABULARY)
    assert years[1:3].tolist() == [1990, 1990] and np.isnan(years[3])
    assert "1 rows of unknown items left out, 0 items without a row, 1 rows without a year" in notice


def test_titles_that_are_numbers_are_no_vectors(tmp_path):
    write(tmp_path, "titles.tsv", "item\ttitle", "a\t300 500", "b\tSolaris", "c\tStalker")
    with pytest.raises(InputError, match="holds titles, not their vectors"):
        read_metadata(tmp_path, VOCABULARY, ["title"])


def test_duplicate_vectors_and_a_wrong_encoding_are_refused(tmp_path):
    path = write(tmp_path, "titles.tsv", "item\ttitle", "a\t1 2", "b\t3 4", "a\t5 6")
    with pytest.raises(InputError, match="1 items have more than one vector: a"):
        read_metadata(tmp_path, VOCABULARY, ["title"])
    path.write_bytes("item\ttitle\na\tAmélie\n".encode("latin-1"))
    with pytest.raises(InputError, match="no text in UTF-8"):
        read_metadata(tmp_path, VOCABULARY, ["title"])


def test_the_items_table_gives_categories_and_titles():
    items = pl.DataFrame(
        {
            "item_id": ["b", "a", "x", "c"],
            "title": ["red planet", "red planet", "red planet", None],
            "categories": [["Drama"], ["Drama", "Action"], ["War"], []],
        }
    )
    features, off = build_item_features(items, VOCABULARY, ["genre", "title", "writer"], seed=1)
    assert [features.values["genre"][k].tolist() for k in range(5)] == [[], [0, 1], [1], [], []]
    assert features.counts == {"genre": 2}
    assert np.allclose(np.abs(features.titles[1]), np.abs(features.titles[2])) and not features.titles[3].any()
    assert off == ["writer is off: the items table has no such column"]


def test_a_file_without_any_known_item_is_refused(tmp_path):
    write(tmp_path, "titles.tsv", "item\ttitle", "x\t1 2")
    with pytest.raises(InputError, match=r"titles\.tsv has none of the 3 items"):
        read_metadata(tmp_path, VOCABULARY, ["title"])


def test_vectors_may_be_separated_by_any_space_but_hold_finite_numbers_only(tmp_path):
    write(tmp_path, "titles.tsv", "item\ttitle", "a\t1  2 ", "b\t3 4")
    assert read_metadata(tmp_path, VOCABULARY, ["title"]).features.titles[1:3].tolist() == [[1, 2], [3, 4]]
    write(tmp_path, "titles.tsv", "item\ttitle", "a\t1 2", "b\t3 nan", "c\t5 6")
    with pytest.raises(InputError, match="vectors of 1 items are broken"):
        read_metadata(tmp_path, VOCABULARY, ["title"])


def test_a_file_of_vectors_is_read_in_blocks_into_a_mapped_array(tmp_path, monkeypatch):
    rng, items = np.random.default_rng(0), [f"i{k:03}" for k in range(200)]
    expected = rng.normal(size=(200, 7)).astype(np.float32)
    rows = [f"{item}\t{' '.join(map(str, row))}" for item, row in zip(items, expected.tolist(), strict=True)]
    write(tmp_path, "titles.tsv", "item\ttitle", *rows, rows[0], "x\t1 2")
    monkeypatch.setattr(title_vectors, "BLOCK", 300)
    read = read_metadata(tmp_path, Vocabulary(items), ["title"])
    assert isinstance(read.features.titles, np.memmap) and (read.features.titles[1:201] == expected).all()
    assert read.notices == ["titles.tsv: 1 rows of unknown items left out, 0 items without a row, 7 wide"]
    write(tmp_path, "titles.tsv", "item\ttitle", *rows, "i000\t1 2 3 4 5 6 7")
    with pytest.raises(InputError, match="1 items have more than one vector: i000"):
        read_metadata(tmp_path, Vocabulary(items), ["title"])
    write(tmp_path, "titles.tsv", "item\ttitle", *rows[:-1], "i199\t1 2 3")
    with pytest.raises(InputError, match="1 items are broken or not 7 wide: i199"):
        read_metadata(tmp_path, Vocabulary(items), ["title"])


def test_several_directors_of_an_item_are_reported(tmp_path):
    write(tmp_path, "directors.tsv", "item\tdirector", "a\tOne", "a\tTwo", "b\tThree")
    notices = read_metadata(tmp_path, VOCABULARY, ["director"]).notices
    assert any("1 items have several directors" in notice for notice in notices)
