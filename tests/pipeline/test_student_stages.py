"""train_student, rank_baseline, rank_student, evaluate and analyse as commands of a project: twins that are one."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from kitrec.config import profiles
from kitrec.config.sections import validate_params
from kitrec.core import files, tables
from kitrec.core.errors import InputError
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.records import RECORDS
from stages import analyse, evaluate, rank_baseline, rank_student, train_student
from stages.lib import paths
from tests.conftest import ROOT

TWINS = ("sasrec-baseline", "sasrec-ensemble")
SMALL = {
    "distillation.students": ["sasrec"],
    "distillation.teachers": ["ensemble"],
    "distillation.teachers_to_build": ["ensemble"],
    "distillation.seeds": 3,
    "distillation.settings.sasrec.student.training.epochs": 2,
    "distillation.settings.sasrec.student.model.hidden_size": 8,
    "idrec.train": [],
    "evaluation.methods": [*TWINS],
    "evaluation.family.pairs": [[*TWINS]],
    "evaluation.resamples": 100,
    "evaluation.permutations": 1000,
}


@pytest.fixture
def project(tmp_path, monkeypatch, world, dataset) -> Path:
    for name in ("base", "conf"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    profiles.put(Path("params.yaml"), SMALL)
    tables.write(world.items, paths.ITEMS, ITEMS)
    nobody = {"others": dataset.interactions["train"].clear()}
    for role, interactions in (nobody | dataset.interactions).items():
        tables.write(interactions, paths.interactions(role), SPLIT_INTERACTIONS)
    for which, by_role in dataset.records.items():
        tables.write(by_role["test"], paths.set_records(which, "test"), RECORDS)
    return tmp_path


@pytest.mark.usefixtures("project")
def test_a_student_equal_to_its_twin_goes_through_evaluation_beside_it_without_a_claim():
    """The twin under the name of a distilled student: what a teacher without influence would leave."""
    validate_params(Path("params.yaml"))
    train_student.main("sasrec", quiet=True)
    shutil.copytree(paths.student("sasrec"), paths.student("sasrec-ensemble"))
    rank_baseline.main("sasrec")
    rank_student.main("sasrec", "ensemble")
    for which in "AB":
        baseline, distilled = (tables.read(paths.of_set(paths.rankings(name), which), RANKINGS) for name in TWINS)
        assert set(baseline["method"]) == {"sasrec-baseline"} and baseline.drop("method").equals(
            distilled.drop("method")
        )
    compared = files.read_json(Path("metrics/students/sasrec-ensemble.json"))
    parts = [compared["ndcg@20"], *(compared[f"set{which}"][name] for which in "AB" for name in ("ndcg@10", "hit@1"))]
    for numbers in parts:
        assert numbers["difference"] == numbers["low"] == numbers["high"] == 0 and numbers["trainings"] == 3
        assert numbers["p_permutation"] == numbers["p_users_and_trainings"] == 1
    evaluate.main()
    analyse.main()
    for pairs in files.read_json(Path("metrics/significance.json")).values():
        (numbers,) = pairs.values()
        assert (
            numbers["p_permutation"] == numbers["p_holm"] == 1 and numbers["stars"] == "" and numbers["trainings"] == 1
        )
    scores = pl.read_parquet("data/scores/setA.parquet")
    assert set(scores["method"]) == set(TWINS)


@pytest.mark.usefixtures("project")
def test_a_teacher_may_not_have_the_name_of_the_twins():
    with pytest.raises(InputError, match="baseline is the name of students without a teacher"):
        profiles.put(Path("params.yaml"), {"distillation.teachers": ["baseline"]})
