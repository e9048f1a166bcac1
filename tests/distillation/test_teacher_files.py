"""Files of teachers: valid ones are read back unchanged, invalid ones refused with the reason."""

import json

import numpy as np
import polars as pl
import pytest
from safetensors import numpy as array_file

from kitrec.core import tables
from kitrec.core.errors import InputError
from kitrec.distillation.dllm2rec_files import read_lists, read_vectors, write_text
from kitrec.distillation.item_embeddings import ItemEmbeddings, embedding_table, read_embeddings, write_embeddings
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.schemas.teacher_lists import TEACHER_LISTS
from tests.distillation.made_teachers import made_lists, made_rows, successors


@pytest.fixture
def lists() -> pl.DataFrame:
    return made_lists(made_rows(), successors)


def changed(lists: pl.DataFrame, index: int, **values) -> pl.DataFrame:
    rows = lists.to_dicts()
    rows[index] |= values
    return pl.DataFrame(rows, schema=lists.schema)


def test_a_table_is_read_back(lists, tmp_path):
    tables.write(lists, tmp_path / "teacher.parquet", TEACHER_LISTS)
    assert tables.read(tmp_path / "teacher.parquet", TEACHER_LISTS).equals(lists)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"distances": [0.0, float("nan"), 1.0]}, "1 rows break the rule that distances are finite numbers"),
        ({"distances": [0.0, float("inf"), 1.0]}, "distances are finite numbers"),
        ({"distances": [0.0, 1.0]}, "every item has a distance"),
        ({"distances": [0.0, None, 1.0]}, "every item has a distance"),
        ({"item_ids": ["i01", None, "i02"]}, "no item is empty"),
        ({"item_ids": ["i01", "i02", "i01"]}, "no item is listed twice"),
        ({"item_ids": [], "distances": []}, "a list has items"),
        ({"prefix_length": 0}, "prefix_length is 1 or more"),
    ],
)
def test_a_bad_row_is_named(lists, tmp_path, values, message):
    with pytest.raises(InputError, match=message):
        tables.write(changed(lists, 2, **values), tmp_path / "teacher.parquet", TEACHER_LISTS)


def test_a_duplicate_row_is_named(lists, tmp_path):
    with pytest.raises(InputError, match="two rows have the same user_id, target, prefix_length"):
        tables.write(pl.concat([lists, lists[3:4]]), tmp_path / "teacher.parquet", TEACHER_LISTS)


VECTORS = ItemEmbeddings(["b", "a", "c"], np.arange(6, dtype=np.float32).reshape(3, 2))


def test_vectors_are_matched_by_item(tmp_path):
    write_embeddings(VECTORS, tmp_path / "vectors.safetensors")
    read = read_embeddings(tmp_path / "vectors.safetensors")
    table = embedding_table(read, Vocabulary(["a", "b", "x"]), rows=5)  # padding, a, b, x, mask
    assert table.vectors.tolist() == [[0, 0], [2, 3], [0, 1], [0, 0], [0, 0]]
    assert table.has_vector.tolist() == [False, True, True, False, False]


def test_vectors_of_an_unrelated_vocabulary_are_refused():
    with pytest.raises(InputError, match="none of the student's items"):
        embedding_table(VECTORS, Vocabulary(["x", "y"]), rows=4)


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [
        (ItemEmbeddings(["a", "b"], VECTORS.vectors), "3 vectors for 2 items"),
        (ItemEmbeddings(["a", "a", "c"], VECTORS.vectors), "an item occurs twice"),
        (ItemEmbeddings(["a", "b", "c"], VECTORS.vectors.ravel()[:3]), r"shape \(3,\)"),
        (ItemEmbeddings(["a", "b", "c"], VECTORS.vectors * np.nan), "6 values are NaN"),
    ],
)
def test_invalid_vectors_are_refused(tmp_path, embeddings, message):
    with pytest.raises(InputError, match=message):
        write_embeddings(embeddings, tmp_path / "vectors.safetensors")


def test_another_safetensors_file_is_no_embeddings(tmp_path):
    array_file.save_file({"vectors": VECTORS.vectors}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="item_ids"):
        read_embeddings(tmp_path / "other.safetensors")
    array_file.save_file({"x": VECTORS.vectors}, tmp_path / "other.safetensors", {"item_ids": json.dumps(["a"])})
    with pytest.raises(InputError, match="vectors"):
        read_embeddings(tmp_path / "other.safetensors")


@pytest.fixture
def folder(lists, tmp_path):
    ids = sorted(set(lists["item_ids"].explode()))
    write_text(lists, ItemEmbeddings(ids[::-1], np.eye(len(ids), dtype=np.float32)), tmp_path / "tocf")
    return tmp_path / "tocf"


def test_the_text_form_is_read_back(lists, folder):
    assert read_lists(folder).equals(lists)
    embeddings = read_vectors(folder)
    assert embeddings.item_ids == sorted(embeddings.item_ids)
    assert embeddings.vectors.tolist() == np.eye(len(embeddings.item_ids))[::-1].tolist()
    assert np.loadtxt(folder / "myrank_train.txt").shape == (lists.height, 3)


def test_the_text_form_reads_what_numpy_saves_by_default(lists, folder):
    path = folder / "myrank_train.txt"
    np.savetxt(path, np.loadtxt(path))  # 1.000000000000000000e+00 ...
    np.save(folder / "all_embeddings.npy", read_vectors(folder).vectors)
    (folder / "all_embeddings.safetensors").unlink()
    assert read_lists(folder).equals(lists)
    assert read_vectors(folder).vectors.sum() == len(read_vectors(folder).item_ids)


def damaged(folder, name: str, line: int, text: str | None) -> None:
    lines = (folder / name).read_text().splitlines()
    if text is None:
        del lines[line]
    else:
        lines[line] = text
    (folder / name).write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("name", "line", "text", "message"),
    [
        ("confidence_train.txt", 4, "0 nan 1", "1 values are NaN or infinite, the first in line 5"),
        ("confidence_train.txt", 4, "0 1", "not a table of numbers"),
        ("confidence_train.txt", 4, None, "must be equal"),
        ("myrank_train.txt", 2, "0 1 7777", "1 item numbers are not in items.tsv, the first is 7777"),
        ("myrank_train.txt", 2, "0 1 2.5", "1 values are not item numbers"),
        ("rows_train.tsv", 3, None, "has .* the lines cannot be matched"),
        ("items.tsv", 3, None, "item numbers are not in items.tsv"),
    ],
)
def test_a_damaged_text_form_is_refused(folder, name, line, text, message):
    damaged(folder, name, line, text)
    with pytest.raises(InputError, match=message):
        read_lists(folder)


def test_text_lists_without_keys_are_refused(folder):
    (folder / "rows_train.tsv").unlink()
    with pytest.raises(InputError, match="it identifies the lines"):
        read_lists(folder)


def test_a_torch_file_of_anything_but_tensors_is_not_opened(folder):
    (folder / "all_embeddings.safetensors").unlink()
    (folder / "all_embeddings.pt").write_bytes(b"anything")
    with pytest.raises(InputError, match=r"save the tensor as all_embeddings\.npy"):
        read_vectors(folder)


def test_vectors_of_other_items_are_refused(folder):
    damaged(folder, "items.tsv", 1, None)
    with pytest.raises(InputError, match="each needs its own"):
        read_vectors(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [("1\ti01", "a number occurs twice"), ("x1\ti01", "no integer number"), ("\ti01", "no integer number")],
)
def test_invalid_item_numbers_are_named(folder, text, message):
    damaged(folder, "items.tsv", 1, text)
    with pytest.raises(InputError, match=message):
        read_vectors(folder)


def test_lists_of_different_length_have_no_text_form(lists, tmp_path):
    short = changed(lists, 0, item_ids=["i01"], distances=[0.0])
    with pytest.raises(InputError, match=r"lists of one length, these have \[1, 3\]"):
        write_text(short, None, tmp_path / "tocf")
