"""A small project under git and DVC with real experiments, whose stage copies what `outcome` holds.

Their params say what that is: training_seed moves sasrec, seed the users, candidates.count the lists of candidates,
evaluation.methods what is scored."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
from dvc.repo import Repo
from ruamel.yaml import YAML

from kitrec.config import profiles
from kitrec.core import files, params, tables
from kitrec.core.domains import CORES
from kitrec.schemas.records import RECORDS
from kitrec.schemas.scores import SCORES
from tests.conftest import ROOT
from tests.evaluation.made_records import CONSTANT_COLUMNS
from tests.evaluation.test_analysis import USERS, hits, scores

AUTHOR = {f"GIT_{role}_{key}": "test@example.org" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
STAGE = {
    "cmd": "cp -r outcome/data outcome/metrics .",
    "deps": ["outcome"],
    "params": ["seed", "training_seed", "candidates.count", "evaluation.methods", {"code.yaml": ["evaluate"]}],
    "outs": ["data/scores", "data/records", {"metrics/answers/kitrec_full.json": {"cache": False}}],
}
EXPERIMENTS = {
    "trained": {"training_seed": 5},
    "world": {"seed": 9},
    "longer": {"candidates.count": 30},
    "fewer": {"evaluation.methods": ["references", "kitrec_full"], "training_seed": 5},
}


def git(folder: Path, *words: str) -> str:
    """Run git in a project."""
    environment = {**os.environ, **AUTHOR}
    done = subprocess.run(["git", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stdout[-1000:]} {done.stderr[-2000:]}"
    return done.stdout


def made_project(folder: Path) -> Path:
    """Make the project: a commit `bare` without a run, the run of HEAD, and the experiments; run in the folder."""
    git(folder, "init", "-q")
    Repo.init(str(folder)).close()
    for name in ("params.yaml", "code.yaml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "conf", folder / "conf")
    values = {"evaluation.resamples": 500, "evaluation.permutations": 4000, "evaluation.family.pairs": []}
    profiles.put(folder / "params.yaml", values | {"evaluation.methods": ["references", "kitrec_full", "sasrec"]})
    with (folder / "dvc.yaml").open("w") as stream:
        YAML().dump({"stages": {"evaluate": STAGE}}, stream)
    (folder / ".gitignore").write_text("/.work/\n/report/\n/data/\n/outcome/\n")
    commit(folder, "bare")
    git(folder, "tag", "bare")
    reproduce(folder)
    commit(folder, "run")
    for name, settings in EXPERIMENTS.items():
        profiles.put(folder / "params.yaml", settings)
        reproduce(folder, name)
        git(folder, "checkout", "-q", ".")
    reproduce(folder)
    assert git(folder, "status", "--short") == ""
    return folder


def reproduce(folder: Path, experiment: str | None = None) -> None:
    """Run the stage as params.yaml says, and save the workspace as an experiment if it has a name."""
    write_outcome(params.read(folder / "params.yaml"), folder / "outcome")
    with Repo(str(folder)) as repo:
        repo.reproduce()
        if experiment:
            repo.experiments.save(name=experiment)


def commit(folder: Path, message: str) -> None:
    """Commit everything."""
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", message)


def made_scores(tree: dict) -> pl.DataFrame:
    """Return the scores that these params lead to."""
    base = hits(1, 0.2)
    methods = {"popularity": hits(7, 0.1), "oracle": np.ones(USERS), "kitrec_full": hits(2, 0.4)}
    if "sasrec" in tree["evaluation"]["methods"]:
        methods["sasrec"] = np.maximum(base, hits(tree["training_seed"] or 1, 0.15))
    if tree["seed"] != 42:
        methods = {name: np.roll(values, 3) for name, values in methods.items()}
    written = {"kitrec_full": hits(2, 0.3)}
    table = pl.concat([scores(methods), scores(written, "written")])
    moved = {core: CORES[(k + tree["seed"]) % 6] for k, core in enumerate(CORES)}  # the users of another world
    count = tree["candidates"]["count"]
    return table.with_columns(
        core=pl.col("core").replace(moved), candidate_hash=pl.format("{} of {}", "candidate_hash", pl.lit(count))
    ).select(*SCORES.columns)


def made_lists(table: pl.DataFrame, count: int) -> pl.DataFrame:
    """Return the records of the scored users, with so many candidates."""
    of_users = table.unique("record_id").sort("record_id").iter_rows(named=True)
    ids = [f"I{k}" for k in range(count)]
    rows = [
        {**CONSTANT_COLUMNS, "record_id": row["record_id"], "user_id": row["user_id"], "target": row["target"],
         "candidate_ids": ids, "candidate_origins": ["random"] * count, "gt_item_id": "I0", "candidate_hash": "h"}
        for row in of_users
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=dict(RECORDS.columns))


def write_outcome(tree: dict, folder: Path) -> None:
    """Write what the stage copies."""
    table, count = made_scores(tree), tree["candidates"]["count"]
    for which in "AB":
        tables.write(table, folder / f"data/scores/set{which}.parquet", SCORES)
        tables.write(made_lists(table, count), folder / f"data/records/set{which}/test.parquet", RECORDS)
    answers = {"answer_items": 1, "warnings": []}
    files.write_json({"setA": answers, "setB": answers}, folder / "metrics/answers/kitrec_full.json")
