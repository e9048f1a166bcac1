"""What lists of a teacher that learned from their rows are worth to a student.   python -m bench.distill_leak FOLDER

FOLDER is made where it is absent: a copy of this checkout with SETTINGS, in which the stages up to the iLoRA teacher
with two folds run; interrupted, the same command goes on. Three teachers rank the same steps of the training users:

    folds   a row's list by the teacher, and among the candidates of the SASRec, that did not learn from its user
    leak    the same two teachers and SASRecs, swapped: each ranks the users that it learned from
    all     the teacher of all users, as with folds: 1: the leak as well, and a teacher of twice as many users

`leak` less `folds` is the leak alone; `all` is what folds replace. A student of each, the same item vectors for all,
and the student without a teacher, from the same seeds: NDCG@10 and Hit@1 among the test candidates of set A, paired
(kitrec/distillation/comparison.py)."""

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bench.claims import at_least, publish
from bench.clone import ENVIRONMENT, make_clone
from kitrec.config import profiles
from kitrec.core import files, params, tables
from kitrec.core.errors import InputError
from kitrec.core.randomness import derived_seed
from kitrec.distillation.comparison import compare_on_candidates
from kitrec.distillation.item_embeddings import ItemEmbeddings, read_embeddings, write_embeddings
from kitrec.distillation.params import StudentConfig
from kitrec.distillation.student_training import Teacher, student_data, train_student
from kitrec.ilora.export import item_embeddings
from kitrec.ilora.folds import RowsOfTeacher, rows_by_teacher
from kitrec.ilora.params import Tasks
from kitrec.ilora.user_tasks import tasks_from_steps
from kitrec.recommenders.ranking.candidates import score_records
from kitrec.recommenders.storage import load_model
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.records import RECORDS
from stages.lib import paths
from stages.lib.ilora_teacher import list_steps, trained_teacher

COMMAND = "python -m bench.distill_leak FOLDER"
METHOD, STUDENT, SEEDS = "sasrec", "sasrec", 3
SETTINGS = {"users.train": 40, "ilora.teacher.folds": 2, "ilora.tasks.listed_steps": 3}
STAGE = f"train_teacher_ilora@{METHOD}"
PAIRS = [("folds", "leak"), ("folds", "all"), ("baseline", "folds"), ("baseline", "leak"), ("baseline", "all")]


def main(folder: Path) -> None:
    """Train what is missing, compare the students and publish."""
    if not folder.exists():
        make_clone(folder, ["variants=distilled"])
        profiles.put(folder / params.FILE, SETTINGS)
    for command in (["python", "-m", "stages.lib.fingerprints"], ["dvc", "repro", STAGE]):
        subprocess.run(command, cwd=folder, env=ENVIRONMENT, check=True)
    with contextlib.chdir(folder):
        seed = params.load(int, "seed")
        lists = _lists(seed)
        students = {arm: _scores(arm, lists.get(arm), seed) for arm in ("baseline", *lists)}
        records = tables.read(paths.set_records("A", "test"), RECORDS)
        compared = {(a, b): compare_on_candidates(students[a], students[b], records, seed) for a, b in PAIRS}
    shares = {arm: _next_items(listed) for arm, listed in lists.items()}
    leak = compared["folds", "leak"]["ndcg@10"]
    first = [shares[arm]["next item first"] for arm in ("leak", "folds")]
    claims = [
        at_least("next items named first by lists with the leak, of those by folds", first[0] / first[1], 1, "x",
                 COMMAND, peer="lists by folds", spread=f"{first[0]:.3f} and {first[1]:.3f} of the rows"),
        at_least(f"{STUDENT}: NDCG@10 by folds less with the leak", -leak["difference"], 0.0, "", COMMAND,
                 peer="the same teachers, swapped", repeats=SEEDS,
                 spread=f"95 % {-leak['high']:.4f} to {-leak['low']:.4f}, p {leak['p_users_and_trainings']:.2g}"),
    ]  # fmt: skip
    rows = [_row(*pair, metric, numbers) for pair, both in compared.items() for metric, numbers in both.items()]
    publish("distill_leak", claims, {"lists of the training rows": [{"lists": arm} | s for arm, s in shares.items()],
                                     "students on the test candidates, set A": rows})  # fmt: skip


def _work() -> Path:
    """Return the folder of everything that these teachers gave: other teachers have another."""
    return Path("leak") / files.sha256(paths.ilora_teacher(METHOD))[:12]


def _lists(seed: int) -> dict[str, pl.DataFrame]:
    """Return the TEACHER_LISTS tables of the three ways; shards that exist are read."""
    p, folder, encoder = params.load(Tasks, "ilora.tasks"), paths.ilora_teacher(METHOD), paths.recommender(METHOD)
    train = tables.read(paths.interactions("train"), SPLIT_INTERACTIONS)
    newest = None if p.listed_steps == "all" else p.listed_steps
    items = tables.read(paths.ITEMS, ITEMS)
    steps = tasks_from_steps(train, items, "both", newest=newest, count=p.candidates, seed=seed)
    parts = rows_by_teacher(folder, encoder, steps)
    if len(parts) != 2:
        raise InputError(f"{folder} has {len(parts)} folds: set ilora.teacher.folds: 2 there, two teachers are swapped")
    swapped = [RowsOfTeacher(a.name, a.teacher, a.encoder, b.tasks) for a, b in zip(parts, parts[::-1], strict=True)]
    ways = {"folds": parts, "leak": swapped, "all": [RowsOfTeacher("all", folder, encoder, steps)]}
    return {
        way: pl.concat([list_steps(rows, p, seed, _work() / way, lambda _: None) for rows in ranked])
        for way, ranked in ways.items()
    }


def _next_items(lists: pl.DataFrame) -> dict[str, Any]:
    """Return how often a list has its row's next item, and the mean probability that its teacher gives it."""
    hits = lists.select(
        first=pl.col("item_ids").list.first() == pl.col("next_id"),
        listed=pl.col("item_ids").list.contains(pl.col("next_id")),
    )
    rows = lists.explode("item_ids", "distances").filter(pl.col("item_ids") == pl.col("next_id"))
    return {
        "rows": lists.height,
        "next item first": round(float(hits["first"].to_numpy().mean()), 4),
        "next item listed": round(float(hits["listed"].to_numpy().mean()), 4),
        "probability where listed": round(float(np.exp(-rows["distances"].to_numpy()).mean()), 4),
    }


def _scores(arm: str, lists: pl.DataFrame | None, seed: int) -> list[list[list[float]]]:
    """Return the scores of the test candidates by the arm's student of every seed, trained where it is absent."""
    p = params.load(StudentConfig, f"distillation.settings.{STUDENT}")
    train, development, test = (
        tables.read(paths.interactions(role), SPLIT_INTERACTIONS) for role in ("train", "development", "test")
    )
    data = student_data(train, development, p.student.history, seed)
    teacher = None if lists is None else Teacher(lists, _vectors(train))
    scores, records = [], tables.read(paths.set_records("A", "test"), RECORDS)
    for number in range(SEEDS):
        to, work = _work() / f"students/{arm}-{number}", _work() / f"training/{arm}-{number}"
        if not to.exists():
            train_student(p, data, teacher, derived_seed(seed, STUDENT, number), work, lambda _: None, to)
        scores.append(score_records(load_model(to), records, test, p.student.history).scores)
    return scores


def _vectors(train: pl.DataFrame) -> ItemEmbeddings:
    """Return the item vectors of the teacher of all users, made once."""
    path = _work() / "vectors.safetensors"
    if not path.exists():
        trained = trained_teacher(paths.ilora_teacher(METHOD), paths.recommender(METHOD))
        shown = train.group_by("user_id", maintain_order=True).agg("item_id")["item_id"].to_list()
        item_ids = sorted(trained.teacher.sequence_encoder.item_numbers)
        write_embeddings(item_embeddings(trained.teacher, item_ids, trained.builder, shown), path)
    return read_embeddings(path)


def _row(first: str, second: str, metric: str, numbers: dict[str, Any]) -> dict[str, Any]:
    return {
        "metric": metric,
        "student": f"{second} less {first}",
        "the latter": round(numbers["baseline"], 4),
        "the former": round(numbers["distilled"], 4),
        "difference": f"{numbers['difference']:.4f} [{numbers['low']:.4f}, {numbers['high']:.4f}]",
        "p (users)": numbers["p_permutation"],
        "p (users and trainings)": numbers["p_users_and_trainings"],
        "users": numbers["users"],
        "trainings": numbers["trainings"],
    }


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except (InputError, IndexError) as problem:
        sys.exit(f"error: {problem if isinstance(problem, InputError) else __doc__}")
