"""`kitrec predict` on a folder of files: the same lists as of one file, also resumed, and side by side by Ray."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from kitrec.cli import main
from kitrec.core.errors import InputError
from kitrec.onnx import ranked_files
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.storage import StoredModel, save_model
from tests.recommenders.made_models import ITEMS, made_model, model_params

USERS, PARTS = 24, 4


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model, a file of all users, and a folder of four files with a quarter of the users each."""
    vocabulary = Vocabulary(f"i{k:02}" for k in range(ITEMS))
    stored = StoredModel(made_model("sasrec"), vocabulary, np.arange(ITEMS + 1, dtype=np.float32), {})
    save_model(stored, model_params("sasrec"), tmp_path / "model")
    rng = np.random.default_rng(3)
    lines = [
        [f"u{user:02},i{item:02},{time}" for time, item in enumerate(rng.permutation(ITEMS)[:5])]
        for user in range(USERS - 1)
    ]
    lines.append([f"u{USERS - 1:02},new,0", "x,,1"])  # nothing the model knows; a row without an item
    write(tmp_path / "all.csv", lines)
    for part in range(PARTS):
        write(tmp_path / f"users/part-{part}.csv", lines[part::PARTS])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, users: list[list[str]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(["user,item,time", *(line for lines in users for line in lines)]) + "\n")


def kitrec(*arguments: str) -> str:
    done = CliRunner().invoke(main.app, ["predict", "model", *arguments])
    if done.exception:
        raise done.exception
    return done.stdout


def ranked(*paths: Path) -> pl.DataFrame:
    """The rows of some outputs; scores depend on the users beside them by a rounding."""
    tables = [pl.read_csv(path, separator="\t", schema_overrides={"score": pl.Float64}) for path in paths]
    return pl.concat(tables).with_columns(pl.col("score").round(3)).sort("user", "rank")


def of_all_files() -> pl.DataFrame:
    return ranked(*Path("best").glob("*.tsv"))


def test_a_folder_gives_the_lists_of_one_file():
    kitrec("all.csv", "--to", "best.tsv", "--topk", "3")
    said = kitrec("users", "--to", "best", "--topk", "3")
    assert of_all_files().equals(ranked(Path("best.tsv"))) and of_all_files().height == 3 * USERS
    assert f"best: 4 files ranked, 0 were there; {USERS} users, 1 of them by popularity" in said
    assert said.count("without --metadata") == 1
    assert "best/part-3.tsv: 6 users; 1 interactions with unknown items" in said
    assert "1 unusable rows left out: 1 with no item" in said


def test_a_killed_run_goes_on_where_it_was(monkeypatch):
    write_ranked, written = ranked_files._write_ranked, []

    def dying(to, *arguments):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(to.name)
        return write_ranked(to, *arguments)

    monkeypatch.setattr(ranked_files, "_write_ranked", dying)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        kitrec("users", "--to", "best")
    assert sorted(path.name for path in Path("best").glob("*.tsv")) == written
    before = {path.name: path.stat().st_mtime_ns for path in Path("best").glob("*.tsv")}
    monkeypatch.setattr(ranked_files, "_write_ranked", write_ranked)
    assert "best: 2 files ranked, 2 were there" in kitrec("users", "--to", "best")
    assert all(Path("best", name).stat().st_mtime_ns == time for name, time in before.items())
    kitrec("all.csv", "--to", "best.tsv")
    assert of_all_files().equals(ranked(Path("best.tsv")))


def test_what_would_rank_wrongly_is_refused(folder):
    kitrec("users", "--to", "best")
    with pytest.raises(InputError, match=r"best holds rankings by another model or other options .*: name another"):
        kitrec("users", "--to", "best", "--topk", "3")
    with pytest.raises(InputError, match=r"not\.txt is missing: name a file that is there"):
        kitrec("users", "--to", "other", "--exclude", "not.txt")
    with pytest.raises(InputError, match="is the folder that is read"):
        kitrec("users", "--to", "users")
    write(folder / "users/part-0.csv", [["u01,i01,0", "u02,i01,0", "u90,i02,1"]])
    with pytest.raises(InputError, match=r"2 users stand in several files, e\.g\. u01, u02: put all interactions"):
        kitrec("users", "--to", "other")
    (folder / "users/part-0.tsv").write_text("user\titem\ttime\n")
    with pytest.raises(InputError, match="files of the same name"):
        kitrec("users", "--to", "other")
    (folder / "nothing").mkdir()
    with pytest.raises(InputError, match="nothing holds no file"):
        kitrec("nothing", "--to", "other")
    with pytest.raises(InputError, match=r"side by side, and all\.csv is one file"):
        kitrec("all.csv", "--to", "best.tsv", "--workers", "2")


def test_rows_without_a_user_are_no_user_and_a_refused_run_leaves_the_folder_free(folder):
    for part in range(2):
        with (folder / f"users/part-{part}.csv").open("a") as stream:
            stream.write(",i01,9\n")
    write(folder / "users/strange.csv", [["v1,s1,0", "v1,s2,0"]])
    (folder / "first").mkdir()
    (folder / "first/strange.csv").write_bytes((folder / "users/strange.csv").read_bytes())
    with pytest.raises(InputError, match="does not know the items"):
        kitrec("first", "--to", "best", "--topk", "3")
    (folder / "users/strange.csv").unlink()
    said = kitrec("users", "--to", "best", "--topk", "4")
    assert of_all_files().height == 4 * USERS and said.count("1 with no user") == 2


@pytest.mark.slow
def test_two_workers_of_ray_give_the_same_lists_and_the_same_errors(folder, monkeypatch):
    pytest.importorskip("ray", reason="ray is not installed: pip install -r requirements-cluster.txt")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    kitrec("all.csv", "--to", "best.tsv")
    assert "best: 4 files ranked" in kitrec("users", "--to", "best", "--workers", "2")
    assert of_all_files().equals(ranked(Path("best.tsv")))
    write(folder / "users/strange.csv", [["v1,s1,0", "v1,s2,0"]])
    with pytest.raises(InputError, match=r"does not know the items of 100% of the interactions"):
        kitrec("users", "--to", "best", "--workers", "2")
    assert "best: 0 files ranked, 4 were there" in kitrec_without("strange.csv")


def kitrec_without(name: str) -> str:
    Path("users", name).unlink()
    return kitrec("users", "--to", "best", "--workers", "2")
