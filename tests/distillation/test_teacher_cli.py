"""`kitrec teacher`: a teacher converted to text and back is the same teacher."""

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from kitrec.cli.main import app
from kitrec.core import tables
from kitrec.core.errors import InputError
from kitrec.distillation.item_embeddings import ItemEmbeddings, read_embeddings, write_embeddings
from kitrec.schemas.teacher_lists import KEY, TEACHER_LISTS
from tests.distillation.made_teachers import made_lists, made_rows, successors


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def folder(tmp_path):
    lists = made_lists(made_rows(), successors)
    ids = sorted(set(lists["item_ids"].explode()))
    (tmp_path / "ours").mkdir()
    tables.write(lists, tmp_path / "ours/lists.parquet", TEACHER_LISTS)
    vectors = np.random.default_rng(0).normal(size=(len(ids), 5)).astype(np.float32)
    write_embeddings(ItemEmbeddings(ids, vectors), tmp_path / "ours/vectors.safetensors")
    return tmp_path / "ours"


def test_text_and_back_is_the_same_teacher(folder, tmp_path):
    assert "lines" in run("teacher", "to-text", folder, "--to", tmp_path / "text").output
    assert (
        len(np.loadtxt(tmp_path / "text/myrank_train.txt"))
        == tables.read(folder / "lists.parquet", TEACHER_LISTS).height
    )
    output = run("teacher", "from-text", tmp_path / "text", "--to", tmp_path / "back").output
    assert "5 dimensions" in output
    ours, back = (tables.read(path / "lists.parquet", TEACHER_LISTS).sort(KEY) for path in (folder, tmp_path / "back"))
    assert back.drop("distances").equals(ours.drop("distances"))
    assert np.allclose(back["distances"].explode(), ours["distances"].explode(), rtol=1e-8)
    vectors, back = (read_embeddings(path / "vectors.safetensors") for path in (folder, tmp_path / "back"))
    order = [back.item_ids.index(item) for item in vectors.item_ids]
    assert np.array_equal(vectors.vectors, back.vectors[order])


def test_a_teacher_needs_no_vectors(folder, tmp_path):
    (folder / "vectors.safetensors").unlink()
    run("teacher", "to-text", folder, "--to", tmp_path / "text")
    assert "no vectors" in run("teacher", "from-text", tmp_path / "text", "--to", tmp_path / "back").output
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == ["lists.parquet"]


def test_existing_folders_are_kept_and_incomplete_ones_refused(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no data/interactions could stand in for a table
    with pytest.raises(InputError, match="exists already"):
        run("teacher", "to-text", folder, "--to", folder)
    with pytest.raises(InputError, match=r"has no lists\.parquet"):
        run("teacher", "to-text", tmp_path, "--to", tmp_path / "text")
    run("teacher", "to-text", folder, "--to", tmp_path / "text")
    (tmp_path / "text/rows_train.tsv").unlink()
    with pytest.raises(InputError, match=r"rows_train.tsv is missing"):
        run("teacher", "from-text", tmp_path / "text", "--to", tmp_path / "back")
    assert not (tmp_path / "back").exists()
    (tmp_path / "text/all_embeddings.safetensors").rename(tmp_path / "text/all_embeddings.pt")
    pl.read_parquet(folder / "lists.parquet").select("user_id", "target", "prefix_length", "next_id").write_csv(
        tmp_path / "text/rows_train.tsv", separator="\t"
    )
    with pytest.raises(InputError, match=r"no readable all_embeddings"):
        run("teacher", "from-text", tmp_path / "text", "--to", tmp_path / "back")
    assert not (tmp_path / "back").exists()
