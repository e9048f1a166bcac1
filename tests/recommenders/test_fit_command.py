"""`kitrec fit` on user-supplied files, in one process and in two."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from safetensors import torch as tensor_file
from typer.testing import CliRunner

from kitrec.cli.main import app
from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.recommenders.data.interaction_files import Interactions
from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.sequences import sequences_from_lists
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.fit import FitData, work_folder
from kitrec.recommenders.params import SequenceMethod
from kitrec.recommenders.sequence_training import Validation, train_sequence_model
from kitrec.recommenders.train import validation_curves
from kitrec.training.state import TrainingResult
from tests.recommenders.made_models import CE, made_training_config, model_params

ROOT = Path(__file__).resolve().parents[2]
ITEMS = 24


def write_data(folder: Path) -> None:
    """Write users who walk along the items one by one; each item has one of four genres."""
    rng = np.random.default_rng(0)
    rows = ["user,item,time"]
    for user, first in enumerate(rng.integers(0, ITEMS, size=150)):
        rows += [f"u{user},i{(first + step) % ITEMS:02},{1_000_000 + step}" for step in range(rng.integers(2, 9))]
    (folder / "own.csv").write_text("\n".join([*rows, "u1,,3"]) + "\n")
    genres = ["item\tgenre", *(f"i{item:02}\tg{item % 4}" for item in range(ITEMS))]
    (folder / "genres.tsv").write_text("\n".join([*genres, "elsewhere\tg9"]) + "\n")


def write_params(folder: Path, epochs: int) -> None:
    """Write the shipped params with small methods."""
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    for name, method in tree["idrec"]["methods"].items():
        if name in ("sasrec", "bert4rec"):
            method["model"] |= {"hidden_size": 16, "max_length": 12, "dropout": 0.1}
            method["training"] |= {"epochs": epochs, "patience": epochs, "batch_size": 32, "learning_rate": 0.01}
    (folder / "params.yaml").write_text(yaml.safe_dump(tree))


def kitrec(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kitrec.cli.main", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)


def test_fit_stores_a_best_and_a_last_model_that_predict_loads(tmp_path, monkeypatch):
    write_data(tmp_path)
    write_params(tmp_path, epochs=15)
    done = kitrec(tmp_path, "fit", "own.csv", "--to", "mine", "--metadata", ".", "--negatives", "10")
    assert done.returncode == 0, done.stderr
    assert "1 rows of unknown items left out" in done.stdout and "1 unusable rows left out" in done.stdout
    report = files.read_json(tmp_path / "mine/report.json")
    assert set(report["test"]) == {"all", "uniform", "popularity"}
    assert report["test"]["all"]["hit@10"] > 0.6  # chance: 10 of 24
    assert report["chosen"]["val_gate/item"] + report["chosen"]["val_gate/genre"] == pytest.approx(1)
    (best,), (last,) = (list((tmp_path / "mine").glob(f"{role}-*")) for role in ("best", "last"))
    assert best.name == f"best-{report['chosen']['epoch']:06d}-ndcg@10-{report['chosen']['ndcg@10']:.4f}"
    assert last.name.startswith("last-000015-ndcg@10-")
    offered = []
    monkeypatch.chdir(tmp_path)
    for model in ("mine", f"mine/{best.name}", f"mine/{last.name}"):
        invoke("predict", model, "own.csv", "--to", "out.tsv", "--topk", "3")
        offered.append(Path("out.tsv").read_text())
    assert offered[0] == offered[1] and offered[2].count("\n") == offered[0].count("\n")


def test_full_data_reports_no_test_and_other_settings_start_a_new_training(tmp_path, monkeypatch):
    write_data(tmp_path)
    write_params(tmp_path, epochs=2)
    monkeypatch.chdir(tmp_path)
    arguments = ("fit", "own.csv", "--to", "mine", "--method", "sasrec")
    invoke(*arguments)
    kept = {path.name for path in Path("mine").iterdir()}
    invoke(*arguments)
    assert {path.name for path in Path("mine").iterdir()} == kept
    invoke(*arguments, "--mode", "full_data", "--overwrite")
    assert "test" not in files.read_json(Path("mine/report.json"))
    after = {path.name.split("-")[0]: path.name for path in Path("mine").iterdir()}
    assert len(list(Path("mine").glob("training-*"))) == 1 and after["training"] not in kept
    assert "-loss-" in after["best"] and "-loss-" in after["last"]


def data_of(lists: list[list[int]], genre: list[int]) -> FitData:
    users, items = [str(k) for k in range(len(lists))], Vocabulary(["a", "b", "c"])
    features = ItemFeatures({"genre": sequences_from_lists([[], *([code] for code in genre), []])}, {"genre": 3})
    return FitData(Interactions(users, items, sequences_from_lists(lists), [0.0] * len(lists), 0), features)


def test_other_data_or_metadata_of_the_same_size_start_a_new_training(tmp_path):
    """The same items divided differently between users; other genres of the same number."""
    p = SequenceMethod(history="target", model=model_params("sasrec"), loss=CE, training=made_training_config())
    data = [data_of([[1, 2, 3], [1, 2, 3]], [0, 1, 2]), data_of([[1, 2, 3, 1], [2, 3]], [0, 1, 2])]
    data.append(data_of([[1, 2, 3], [1, 2, 3]], [2, 1, 0]))
    assert len({work_folder(p, fit_data, 0, tmp_path).name for fit_data in data}) == 3
    assert work_folder(p, data[0], 0, tmp_path) == work_folder(p, data[0], 0, tmp_path)


def invoke(*arguments: str) -> None:
    done = CliRunner().invoke(app, arguments)
    if done.exception:
        raise done.exception


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("own.csv", "--method", "conet"), "conet needs two domains"),
        (("own.csv", "--method", "bert"), "bert4rec"),
        (("none.csv",), "none.csv is missing"),
        (("own.csv", "--min-interactions", "100"), "no user has 100 or more"),
        (("own.csv", "--negatives", "100"), "only 16 items left to sample 100 negatives from"),
        (("genres.tsv",), "lacks the column user .*it has item, genre"),
        (("own.csv", "--method", "sasrec", "--metadata", "."), "--metadata: not used by this method"),
        (("own.csv", "--metadata", ".", "--embeddings", "v.tsv"), "--embeddings: not used by this method"),
    ],
)
def test_unusable_input_is_refused_before_training(tmp_path, monkeypatch, arguments, message):
    write_data(tmp_path)
    write_params(tmp_path, epochs=1)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        invoke("fit", *arguments, "--to", "mine")
    assert not list(Path("mine").glob("*-*"))


SEQUENCES = sequences_from_lists(
    [list(range(first, first + length)) for first, length in ((1, 5), (3, 2), (2, 7), (6, 4), (1, 2))]
)


def some_fit(work: Path) -> TrainingResult:
    """Train without dropout or sampling, so that the number of processes cannot matter; the last batch has one user."""
    p = SequenceMethod(
        history="target", model=model_params("sasrec"), loss=CE, training=made_training_config(batch_size=2, epochs=3)
    )
    validation = Validation(SEQUENCES.without_last(), SEQUENCES.last())
    return train_sequence_model(p, ItemFeatures(), 10, SEQUENCES, validation, 1, work, lambda _: None)


SCRIPT = """
import json, sys
from pathlib import Path
from safetensors.torch import save_file
from tests.recommenders.test_fit_command import some_fit
from kitrec.training.distributed import distributed_context

result = some_fit(Path("work"))
assert distributed_context().world_size == 2
save_file(result.model.state_dict(), f"work/{distributed_context().rank}.safetensors")
Path(f"work/{distributed_context().rank}.json").write_text(json.dumps(result.progress.rows))
"""


def test_two_processes_train_to_the_metrics_of_one(tmp_path):
    (tmp_path / "own.py").write_text(SCRIPT)
    (tmp_path / "work").mkdir()
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "own.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(launch, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, other = (tensor_file.load_file(tmp_path / f"work/{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(one[name], tensor) for name, tensor in other.items())
    rows = [files.read_json(tmp_path / f"work/{rank}.json") for rank in (0, 1)]
    (tmp_path / "single").mkdir()
    expected = some_fit(tmp_path / "single").progress.rows
    assert rows[0] == rows[1] == [pytest.approx(row, rel=1e-4) for row in expected]  # Adam amplifies rounding


def test_validation_curves_hold_the_validated_epochs():
    rows = [{"epoch": 1, "loss": 3.0}, {"epoch": 2, "loss": 2.0, "ndcg@10": 0.5, "val_gate/item": 0.75, "mrr": 0.1}]
    expected = [{"epoch": 2, "series": "gate: item", "value": 0.75}, {"epoch": 2, "series": "ndcg@10", "value": 0.5}]
    assert validation_curves(rows).to_dicts() == expected
    assert validation_curves([{"epoch": 1, "loss": 1.0}]).schema == pl.Schema(
        {"epoch": pl.Int64, "series": pl.String, "value": pl.Float64}
    )
