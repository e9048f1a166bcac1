"""Rank the test candidates by a model over item ids.   python -m stages.infer_idrec sasrec
Reads data/idrec/<method>, the test records and the test readers' interactions; writes data/rankings/<method> and
metrics/answers/idrec-<method>.json (what the model did not know)."""

import time
from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.preprocessing.params import Data
from kitrec.recommenders.params import AnyMethod
from kitrec.recommenders.ranking.candidates import score_records
from kitrec.recommenders.storage import load_model
from kitrec.schemas.rankings import RANKINGS, from_scores
from kitrec.schemas.records import RECORDS
from kitrec.schemas.split_interactions import SPLIT_INTERACTIONS
from stages.lib import paths, runner


def main(method: str) -> None:
    """Score every candidate of every test record with METHOD's model."""
    sets = params.value(Data, "data.test_sets")
    history = params.value(AnyMethod, f"idrec.methods.{method}.history")  # type: ignore[arg-type]  # a union
    folder, seen_path = Path("data/idrec") / method, paths.interactions("test")
    tests = {which: paths.set_records(which, "test") for which in sets}
    with runner.running(
        "infer_idrec", method, reads=[folder, seen_path, *tests.values()], params=[sets, history]
    ) as run:
        stored, seen = load_model(folder), tables.read(seen_path, SPLIT_INTERACTIONS)
        ranked: dict[str, pl.DataFrame] = {}
        counted = {}
        for which, path in tests.items():
            records, began = tables.read(path, RECORDS), time.perf_counter()
            scored = score_records(stored, records, seen, history)
            ranked[f"set{which}"] = from_scores(method, records, scored.scores)
            counted[f"set{which}"] = scored.metrics()
            run.cost[f"set{which}"] = {"seconds": round(time.perf_counter() - began, 2)}
        tables.write_all(ranked, paths.rankings(method), RANKINGS)
        files.write_json(counted, Path(f"metrics/answers/idrec-{method}.json"))


if __name__ == "__main__":
    runner.start(main)
