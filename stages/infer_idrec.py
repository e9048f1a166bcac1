"""Rank the test candidates by a model over item ids.   python -m stages.infer_idrec sasrec
Reads data/idrec/<method>, the test records and the test users' interactions; writes data/rankings/<method> and
metrics/answers/idrec-<method>.json (the share of items and users that the model does not know)."""

import time
from pathlib import Path

from kitrec.core import files, params, tables
from kitrec.preprocessing.params import Data
from kitrec.recommenders.params import AnyMethod
from kitrec.recommenders.ranking.candidates import score_records
from kitrec.recommenders.storage import load_model
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.rankings import RANKINGS, from_scores
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from stages.lib import paths, runner


def main(method: str) -> None:
    """Score every candidate of every test record with METHOD's model."""
    # 1. Params and inputs
    test_sets = params.value(Data, "data.test_sets")
    history = params.value(AnyMethod, f"idrec.methods.{method}.history")  # type: ignore[arg-type]  # a union
    model_folder, interactions_path = paths.recommender(method), paths.interactions("test")
    records_paths = {which: paths.set_records(which, "test") for which in test_sets}
    reads = [model_folder, interactions_path, *records_paths.values()]
    with runner.running("infer_idrec", method, reads=reads, params=[test_sets, history]) as run:
        # 2. The stored model, and the histories that it ranks from
        model, interactions = load_model(model_folder), tables.read(interactions_path, SPLIT_INTERACTIONS)
        # 3. The scores of every test set's candidates
        rankings, metrics = {}, {}
        for which, path in records_paths.items():
            records, start = tables.read(path, RECORDS, leave_out=TEXT_COLUMNS), time.perf_counter()
            scored = score_records(model, records, interactions, history)
            rankings[f"set{which}"] = from_scores(method, records, scored.scores)
            metrics[f"set{which}"] = scored.metrics()
            run.cost[f"set{which}"] = {"seconds": round(time.perf_counter() - start, 2)}
        # 4. Rankings and metrics
        tables.write_all(rankings, paths.rankings(method), RANKINGS)
        files.write_json(metrics, Path(f"metrics/answers/idrec-{method}.json"))


if __name__ == "__main__":
    runner.start(main)
