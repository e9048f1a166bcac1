"""`kitrec repeats`, `power` and `compare` on folders of finished runs."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from kitrec.cli import runs as named
from kitrec.cli.main import app
from kitrec.config import profiles
from kitrec.core import files, tables
from kitrec.core.errors import InputError
from kitrec.report import sections
from kitrec.schemas.scores import SCORES
from tests.conftest import ROOT
from tests.evaluation.test_analysis import hits, scores

VALUES = {
    "evaluation.resamples": 100,
    "evaluation.permutations": 1000,
    "evaluation.methods": ["references", "sasrec"],
    "evaluation.family.pairs": [["sasrec", "popularity"]],
}


@pytest.fixture
def three_runs(tmp_path, monkeypatch) -> list[str]:
    """Three trainings that differ by their seed, and a fourth one that is not returned; the workspace is a fifth."""
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "code.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    profiles.put(Path("params.yaml"), VALUES)
    popularity = hits(7, 0.2)
    for seed in (1, 2, 3, 4):
        folder = Path(f"run{seed}")
        folder.mkdir()
        shutil.copy("code.yaml", folder)
        shutil.copy("params.yaml", folder)
        profiles.put(folder / "params.yaml", {"seed": seed})
        table = scores({"sasrec": np.maximum(popularity, hits(seed, 0.1)), "popularity": popularity})
        tables.write(table, folder / "data/scores/setA.parquet", SCORES)
    tables.write(table, Path("data/scores/setA.parquet"), SCORES)
    return ["run1", "run2", "run3"]


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def test_means_spread_and_both_tests_are_printed_and_written(three_runs):
    done = run("repeats", *three_runs)
    assert done.exit_code == 0, done.output
    assert "3 trainings, 240 users, set A" in done.output and "(both): t over users and trainings" in done.output
    written = files.read_json(Path("metrics/repeats.json"))
    assert written["seeds"] == [1, 2, 3] and written["users"] == 240 and len(written["comparisons"]) == 3
    assert all(row["difference"] > 0 and row["p_users_and_trainings"] < 0.05 for row in written["comparisons"])
    section = sections.trainings(written)
    assert "Seeds 1, 2, 3, set A, 240 users" in section.text and len(section.rows) == 3
    assert written["run"] == named.fingerprint("workspace")  # the seed is not part of it: the report shows the section
    profiles.put(Path("params.yaml"), {"idrec.trials": 2})
    assert written["run"] != named.fingerprint("workspace")


def test_runs_that_differ_in_more_than_their_seed_or_not_even_in_it_are_refused(three_runs):
    profiles.put(Path("run2/params.yaml"), {"idrec.trials": 2})
    with pytest.raises(InputError, match=r"run2 and run1 differ in idrec\.trials"):
        named.check_seeds_alone_differ(three_runs)
    shutil.copy("run1/params.yaml", "run2/params.yaml")
    with pytest.raises(InputError, match="a training that is there twice is no second one"):
        named.check_seeds_alone_differ(three_runs)
    shutil.copy("run3/params.yaml", "run2/params.yaml")
    Path("run2/code.yaml").write_text(Path("code.yaml").read_text() + "more: '1'\n")
    with pytest.raises(InputError, match=r"differ in code\.yaml: more"):
        named.check_seeds_alone_differ(["run1", "run2"])
    assert isinstance(run("repeats", "run1").exception, InputError)


def test_trainings_on_the_same_data_differ_by_the_seed_of_trainings_alone(three_runs):
    for number, name in enumerate(three_runs, start=5):
        profiles.put(Path(name) / "params.yaml", {"seed": 42, "training_seed": number})
    done = run("repeats", *three_runs)
    assert done.exit_code == 0, done.output
    written = files.read_json(Path("metrics/repeats.json"))
    assert written["seeds"] == [5, 6, 7]
    profiles.put(Path("params.yaml"), {"training_seed": 9})
    assert written["run"] == named.fingerprint("workspace")  # no more part of it than the seed is
    profiles.put(Path("run2/params.yaml"), {"training_seed": None})
    assert named.check_seeds_alone_differ(three_runs) == [5, 42, 7]
    profiles.put(Path("run1/params.yaml"), {"training_seed": 42})  # in other words the training of run2
    with pytest.raises(InputError, match="seeds 42, 42, 7: a training that is there twice"):
        named.check_seeds_alone_differ(three_runs)
    with pytest.raises(InputError, match="run1 on the left and run2 on the right are one training"):
        named.check_separate(["run1"], ["run2"])


@pytest.mark.parametrize("command", [["repeats"], ["power", "0.05"]])
def test_tables_fit_eighty_columns(three_runs, command):
    done = CliRunner().invoke(app, [*command, *three_runs], env={"COLUMNS": "80"})
    lines = done.output.splitlines()
    assert max(map(len, lines)) <= 80 and "…" not in done.output
    assert sum("─" in line for line in lines) == (3 if command == ["repeats"] else 2)  # tables, not blocks


def test_power_of_several_trainings_and_of_one(three_runs):
    done = run("power", 0.05, *three_runs, "--metric", "mrr", "--power", 0.9)
    assert done.exit_code == 0, done.output
    assert "Test users for 0.05 in mrr with power 0.9 at alpha 0.05" in done.output and "3 trainings" in done.output
    alone = run("power", 0.05, "--metric", "mrr")
    assert alone.exit_code == 0 and "variance between trainings is in no interval" in alone.output
    assert "other than 0" in str(run("power", 0).exception)


@pytest.mark.usefixtures("three_runs")
def test_compare_takes_trainings_by_commas():
    done = run("compare", "run1,run2", "run3,run4")
    assert done.exit_code == 0 and "(both): t over users and trainings" in done.output, done.output
    one = run("compare", "run1", "run2")
    assert "One training of each method" in one.output and "permutation test" in one.output


@pytest.mark.usefixtures("three_runs")
def test_compare_refuses_a_training_on_both_sides_but_not_one_run_on_both_test_sets():
    twice = run("compare", "run1,run2", "run2,run3").exception
    assert isinstance(twice, InputError) and "run2 on the left and run2 on the right are one training" in str(twice)
    shutil.copytree("run1", "copy")
    renamed = run("compare", "run1,run2", "copy").exception
    assert isinstance(renamed, InputError) and "run1 on the left and copy on the right" in str(renamed)
    shutil.copy("data/scores/setA.parquet", "data/scores/setB.parquet")
    assert run("compare", "workspace", "workspace", "--sets", "A,B").exit_code == 0


@pytest.mark.usefixtures("three_runs")
def test_compare_refuses_trainings_of_one_side_on_other_candidates():
    path = Path("run2/data/scores/setA.parquet")
    tables.write(tables.read(path, SCORES).with_columns(candidate_hash=pl.lit("other")), path, SCORES)
    problem = run("compare", "run1,run2", "run3,run4").exception
    assert isinstance(problem, InputError) and "run 2 has other test users or candidates than run 1" in str(problem)
    remark = "have other candidates: a difference is one of run and candidates together"
    assert remark in " ".join(run("compare", "run2", "run3").output.split())
    assert remark not in " ".join(run("compare", "run3", "run4").output.split())
    assert run("compare", "run1", "run2").exit_code == 0  # two settings may have other lists
