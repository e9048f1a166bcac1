"""`kitrec fit` and `kitrec predict` in a folder that holds nothing but someone's own data."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from kitrec.cli import main
from kitrec.cli.fit_methods import DEFAULTS, load_fit_params
from kitrec.core import files, params
from kitrec.core.errors import InputError
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.storage import StoredModel, save_model
from tests.conftest import ROOT
from tests.recommenders.made_models import ITEMS, made_model, model_params
from tests.recommenders.test_fit_command import write_data

pytestmark = pytest.mark.usefixtures("folder")
SMALL = ("-S", "training.epochs=1", "-S", "model.hidden_size=16", "-S", "model.max_length=12")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder outside the repository, without params.yaml."""
    write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str) -> str:
    done = CliRunner().invoke(main.app, arguments)
    if done.exception:
        raise done.exception
    return done.stdout


def contents(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()}


def test_several_methods_stand_in_one_table_beside_the_baselines():
    out = invoke("fit", "own.csv", "--to", "mine", "--method", "sasrec,gru4rec", "--negatives", "5", *SMALL)
    assert "no params.yaml with methods here: their settings are the defaults of the package" in out
    table = out.rpartition("─")[2].partition("`kitrec predict`")[0]
    rows = [line.split()[0] for line in table.splitlines() if line.strip()]
    assert rows == [name for name in ("popularity", "item_knn", "sasrec", "gru4rec") for _ in range(3)]
    for name in ("sasrec", "gru4rec"):
        report = files.read_json(Path("mine", name, "report.json"))
        assert report["method"] == name and report["seed"] == 42 and report["settings"]["training"]["epochs"] == 1
        assert report["data"]["sha256"] == files.sha256(Path("own.csv")) and report["data"]["counts"]["rows"] == 781
        assert set(report["baselines"]) == {"popularity", "item_knn"}
        assert all(set(each) == {"all", "uniform", "popularity"} for each in report["baselines"].values())
    assert set(files.read_json(Path("mine/report.json"))["methods"]) == {"sasrec", "gru4rec"}
    with pytest.raises(InputError, match="several methods: name mine/gru4rec or mine/sasrec"):
        invoke("predict", "mine", "own.csv", "--to", "best.tsv")
    invoke("predict", "mine/gru4rec", "own.csv", "--to", "best.tsv")
    with pytest.raises(InputError, match="mine holds models of several methods"):
        invoke("fit", "own.csv", "--to", "mine", "--method", "sasrec", *SMALL)


def test_a_model_of_other_data_or_settings_is_never_replaced_without_a_word():
    arguments = ("fit", "own.csv", "--to", "mine", "--method", "sasrec", *SMALL)
    invoke(*arguments)
    stored = contents(Path("mine"))
    own = Path("own.csv").read_text()
    for changed, more, difference in (
        (own, ("-S", "training.epochs=2"), "settings.training.epochs: 1 there, 2 here"),
        (own, ("--seed", "7"), "seed: 42 there, 7 here"),
        (own, ("--repeats", "last"), "data.repeats: first there, last here"),
        (own, ("--k-core", "2"), "data.k_core: 0 there, 2 here"),
        (own + "u1,i05,99\n", (), "data.sha256: "),
    ):
        Path("own.csv").write_text(changed)
        with pytest.raises(InputError, match="mine holds a model of other data or settings") as refused:
            invoke(*arguments, *more)
        assert difference in str(refused.value) and str(refused.value).count("\n  - ") == 1
    assert contents(Path("mine")) == stored
    Path("own.csv").rename("renamed.csv")
    Path("renamed.csv").write_text(own)
    out = invoke("fit", "renamed.csv", *arguments[2:])
    assert "mine already holds this model, of the same data, settings and seed" in out
    out = invoke("fit", "renamed.csv", *arguments[2:], "--seed", "7", "--overwrite")
    assert "replacing a model of other data or settings (seed: 42 there, 7 here)" in out
    assert files.read_json(Path("mine/report.json"))["seed"] == 7
    Path("mine/report.json").unlink()
    shutil.rmtree(next(Path("mine").glob("training-*")))
    with pytest.raises(InputError, match=r"without a report.json, of unknown data"):
        invoke("fit", "renamed.csv", *arguments[2:])
    shutil.rmtree(next(Path("mine").glob("best-*")))
    Path("mine/training-of-another").mkdir()
    assert "removing the checkpoint of an unfinished training" in invoke("fit", "renamed.csv", *arguments[2:])
    assert not Path("mine/training-of-another").exists()


@pytest.mark.parametrize(
    ("overrides", "problems"),
    [
        (["training.epoch=5"], ["training.epoch: unknown key"]),
        (["training.epochs=many", "model.dropout=1.5"], ["'many' is refused", "1.5 is refused"]),
        (["traning.epochs=5"], ["has no traning"]),
        (["training.epochs"], ["write KEY=VALUE"]),
        (["gru4rec.training.epochs=5"], ["has no gru4rec.training"]),
        (["model.heads=5"], ["5 does not divide hidden_size 64"]),
    ],
)
def test_overrides_are_checked_like_the_params_file(overrides, problems):
    with pytest.raises(InputError) as refused:
        load_fit_params(["sasrec", "bert4rec"], overrides)
    assert all(problem in str(refused.value) for problem in problems)


def test_overrides_reach_one_method_or_all():
    loaded = load_fit_params(
        ["sasrec", "bert4rec"],
        [
            "training.learning_rate=2e-4",
            "sasrec.training.epochs=7",
            "idrec.methods.bert4rec.model.metadata.features=[]",
        ],
    )
    sasrec, bert4rec = loaded.methods.values()
    assert sasrec.training.learning_rate == bert4rec.training.learning_rate == 2e-4
    assert (sasrec.training.epochs, bert4rec.training.epochs) == (7, 300)
    assert bert4rec.model.metadata.features == []


def test_only_methods_that_can_be_fitted_are_listed():
    with pytest.raises(InputError) as refused:
        load_fit_params(["conet", "item_knn", "sasrek"], [])
    message = str(refused.value)
    assert "conet needs two domains" in message and "did you mean sasrec?" in message
    assert message.endswith("Choose of sasrec, bert4rec, gru4rec, caser")


def test_the_packaged_defaults_are_the_params_of_the_repository(tmp_path):
    """A built wheel holds them too."""
    assert DEFAULTS.read_bytes() == (ROOT / "params.yaml").read_bytes()
    for name in ("pyproject.toml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "kitrec").mkdir()
    shutil.copytree(ROOT / "kitrec/config", tmp_path / "kitrec/config", symlinks=True)
    build = "from setuptools import build_meta; build_meta.build_wheel('wheel')"
    (tmp_path / "wheel").mkdir()
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("kitrec/config/default_params.yaml") == (ROOT / "params.yaml").read_bytes()


def test_params_of_another_project_are_not_ours():
    Path("params.yaml").write_text("idrec: none\nother: {methods: {}}\n")
    assert "defaults of the package" in load_fit_params(["sasrec"], []).notice
    tree = params.read(DEFAULTS)
    tree["idrec"]["methods"]["sasrec"]["training"]["epochs"] = 3
    files.write_json(tree, Path("params.yaml"))  # JSON is YAML
    loaded = load_fit_params(["sasrec"], [])
    assert loaded.methods["sasrec"].training.epochs == 3 and not loaded.notice


@pytest.mark.parametrize("metadata", ["nope", "own.csv", "empty"])
def test_metadata_that_is_not_there_is_an_error(metadata):
    Path("empty").mkdir()
    with pytest.raises(InputError, match=r"is no folder: name the one|has no genres.tsv"):
        invoke("fit", "own.csv", "--to", "mine", "--metadata", metadata, *SMALL)
    assert not Path("mine").exists()


def made_model_folder(folder: Path) -> Path:
    vocabulary = Vocabulary(f"i{k:02}" for k in range(ITEMS))
    stored = StoredModel(made_model("sasrec"), vocabulary, np.arange(ITEMS + 1, dtype=np.float32), {})
    save_model(stored, model_params("sasrec"), folder / "model")
    return folder / "model"


def test_predict_refuses_interactions_with_other_items_and_says_where_popularity_ranked():
    made_model_folder(Path())
    Path("other.csv").write_text("user,item,time\n" + "".join(f"u,x{k},{k}\n" for k in range(9)) + "u,i01,9\n")
    with pytest.raises(
        InputError, match=r"does not know the items of 90% of the interactions \(9 of 10\).*e\.g\. x0, x1"
    ):
        invoke("predict", "model", "other.csv", "--to", "best.tsv")
    assert not Path("best.tsv").exists()
    Path("some.csv").write_text("userId,movieId,timestamp\nu,i01,1\nu,i02,2\nnew,x9,3\n")
    out = invoke("predict", "model", "some.csv", "--to", "best.tsv", "--topk", "2")
    assert "1 users ranked by popularity, as the model knows none of their items: new" in out
    assert "columns: user is userId, item is movieId, time is timestamp" in out
    rows = pl.read_csv("best.tsv", separator="\t")
    assert dict(rows.select("user", "ranked_by").unique().iter_rows()) == {"u": "model", "new": "popularity"}


def test_paths_that_cannot_be_written_or_read_are_no_traceback(monkeypatch):
    made_model_folder(Path())
    for arguments, message in (
        (("predict", "model", "own.csv", "--to", "own.csv/best.tsv"), "own.csv"),
        (("predict", "model", "own.csv", "--to", "/proc/nowhere/best.tsv"), "/proc/nowhere cannot be made"),
        (("predict", "model", "own.csv", "--to", "model"), "--to model is a folder"),
        (("predict", "nowhere", "own.csv", "--to", "best.tsv"), "nowhere is no folder of a model"),
        (("fit", "own.csv", "--method", "sasrec", "--to", "own.csv/mine", *SMALL), "own.csv"),
        (("fit", "own.csv", "--method", "sasrec", "--to", "own.csv", *SMALL), "own.csv"),
    ):
        monkeypatch.setattr(sys, "argv", ["kitrec", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main.main()
        assert str(stopped.value).startswith("error: ") and message in str(stopped.value), stopped.value
