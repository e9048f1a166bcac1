"""Rank the test candidates by a student without a teacher.   python -m stages.rank_baseline sasrec
Reads data/students/<student> (first seed), the test users' interactions and records; writes
data/rankings/<student>-baseline, the twin of every data/rankings/<student>-<teacher>."""

import time

import polars as pl

from kitrec.core import params, tables
from kitrec.distillation.params import StudentConfig
from kitrec.preprocessing.params import Data
from kitrec.recommenders.ranking.candidates import score_records
from kitrec.recommenders.storage import load_model
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.rankings import RANKINGS, from_scores
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.training.device import use_device
from kitrec.training.params import Trainer
from stages.lib import paths, runner


def main(student: str) -> None:
    """Score every candidate of every test record with the baseline of STUDENT, one of distillation.students."""
    # 1. Params and inputs
    sets, p = params.value(Data, "data.test_sets"), params.load(StudentConfig, f"distillation.settings.{student}")
    name, folder, source = f"{student}-baseline", paths.student(student), paths.interactions("test")
    tests = {which: paths.set_records(which, "test") for which in sets}
    with runner.running("rank_baseline", student, reads=[folder, source, *tests.values()], params=[sets, p]) as run:
        # 2. The student of the first seed
        model = load_model(min(folder.iterdir()), use_device(params.value(Trainer, "trainer.device")))
        interactions = tables.read(source, SPLIT_INTERACTIONS)
        # 3. Rankings of each test set
        ranked: dict[str, pl.DataFrame] = {}
        for which, path in tests.items():
            records, start = tables.read(path, RECORDS, leave_out=TEXT_COLUMNS), time.perf_counter()
            scored = score_records(model, records, interactions, p.student.history)
            ranked[f"set{which}"] = from_scores(name, records, scored.scores)
            run.cost[f"set{which}"] = {"seconds": round(time.perf_counter() - start, 2), "records": records.height}
        tables.write_all(ranked, paths.rankings(name), RANKINGS)


if __name__ == "__main__":
    runner.start(main)
