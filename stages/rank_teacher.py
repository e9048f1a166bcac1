"""Rank the test candidates by a teacher that is no LLM.   python -m stages.rank_teacher ensemble
Reads data/teachers/<teacher> (its members), the test users' interactions and records; writes
data/rankings/<teacher>."""

import time

import polars as pl

from kitrec.core import params, tables
from kitrec.distillation.ensemble_storage import load_ensemble
from kitrec.distillation.params import Ensemble
from kitrec.preprocessing.params import Data
from kitrec.recommenders.ranking.candidates import score_records
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.rankings import RANKINGS, from_scores
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from stages.lib import paths, runner


def main(teacher: str) -> None:
    """Score every candidate of every test record with all members of TEACHER, one of distillation.teachers_to_rank."""
    # 1. Params and inputs
    sets, p = params.value(Data, "data.test_sets"), params.load(Ensemble, "distillation.ensemble")
    folder, source = paths.teacher(teacher), paths.interactions("test")
    tests = {which: paths.set_records(which, "test") for which in sets}
    with runner.running("rank_teacher", teacher, reads=[folder, source, *tests.values()], params=[sets, p]) as run:
        # 2. The members of all folds
        ensemble, interactions = load_ensemble(folder / "members", p), tables.read(source, SPLIT_INTERACTIONS)
        # 3. Rankings of each test set
        ranked: dict[str, pl.DataFrame] = {}
        for which, path in tests.items():
            records, start = tables.read(path, RECORDS, leave_out=TEXT_COLUMNS), time.perf_counter()
            ranked[f"set{which}"] = from_scores(
                teacher, records, score_records(ensemble, records, interactions, "both").scores
            )
            run.cost[f"set{which}"] = {"seconds": round(time.perf_counter() - start, 2), "records": records.height}
        tables.write_all(ranked, paths.rankings(teacher), RANKINGS)


if __name__ == "__main__":
    runner.start(main)
