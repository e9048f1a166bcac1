"""`kitrec teacher`: a teacher as text and back is the same teacher."""

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from kitrec.cli.main import app
from kitrec.core import tables
from kitrec.core.errors import InputError
from kitrec.distillation.item_embeddings import Embeddings, read_embeddings, write_embeddings
from kitrec.schemas.teacher_lists import KEY, TEACHER
from tests.distillation.made_teachers import lists_of, neighbours, some_rows


def run(*arguments: object):
    return CliRunner().invoke(app, [str(own) for own in arguments], catch_exceptions=False)


@pytest.fixture
def folder(tmp_path):
    lists = lists_of(some_rows(), neighbours)
    ids = sorted(set(lists["item_ids"].explode()))
    (tmp_path / "ours").mkdir()
    tables.write(lists, tmp_path / "ours/lists.parquet", TEACHER)
    vectors = np.random.default_rng(0).normal(size=(len(ids), 5)).astype(np.float32)
    write_embeddings(Embeddings(ids, vectors), tmp_path / "ours/vectors.safetensors")
    return tmp_path / "ours"


def test_text_and_back_is_the_same_teacher(folder, tmp_path):
    assert "lines" in run("teacher", "to-text", folder, "--to", tmp_path / "text").output
    assert len(np.loadtxt(tmp_path / "text/myrank_train.txt")) == tables.read(folder / "lists.parquet", TEACHER).height
    told = run("teacher", "from-text", tmp_path / "text", "--to", tmp_path / "back").output
    assert "5 dimensions" in told
    ours, back = (tables.read(own / "lists.parquet", TEACHER).sort(KEY) for own in (folder, tmp_path / "back"))
    assert back.drop("distances").equals(ours.drop("distances"))
    assert np.allclose(back["distances"].explode(), ours["distances"].explode(), rtol=1e-8)
    one, other = (read_embeddings(own / "vectors.safetensors") for own in (folder, tmp_path / "back"))
    places = [other.item_ids.index(item) for item in one.item_ids]
    assert np.array_equal(one.vectors, other.vectors[places])


def test_lists_alone_are_a_teacher(folder, tmp_path):
    (folder / "vectors.safetensors").unlink()
    run("teacher", "to-text", folder, "--to", tmp_path / "text")
    assert "no vectors" in run("teacher", "from-text", tmp_path / "text", "--to", tmp_path / "back").output
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == ["lists.parquet"]


def test_nothing_is_written_over_and_half_a_folder_is_refused(folder, tmp_path):
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
    pl.read_parquet(folder / "lists.parquet").select("user_id", "target", "seen", "next_id").write_csv(
        tmp_path / "text/rows_train.tsv", separator="\t"
    )
    with pytest.raises(InputError, match=r"a \.pt file can run code"):
        run("teacher", "from-text", tmp_path / "text", "--to", tmp_path / "back")
    assert not (tmp_path / "back").exists()
