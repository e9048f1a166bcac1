"""Rank development and test candidates by a model over item ids.   python -m stages.infer_idrec sasrec
Reads data/idrec/<method>, the items, and the records and interactions of both roles; writes data/rankings/<method>
(with the ranks of held-out items among all items), data/development_rankings/<method> (what a fusion weighs methods by)
and metrics/answers/idrec-<method>.json (the share of items and users that the model does not know)."""

import time
from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.preprocessing.params import Data
from kitrec.recommenders.data.user_histories import histories
from kitrec.recommenders.params import AnyMethod
from kitrec.recommenders.ranking.candidates import score_records
from kitrec.recommenders.ranking.catalogue import catalogue_ranks, stored_scores
from kitrec.recommenders.storage import load_model
from kitrec.schemas.catalogue_ranks import CATALOGUE_FILE, CATALOGUE_RANKS
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS, from_scores
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.training.device import use_device
from kitrec.training.params import Trainer
from stages.lib import paths, runner


def main(method: str) -> None:
    """Score every candidate of every development and test record with METHOD's model."""
    # 1. Params and inputs
    test_sets = params.value(Data, "data.test_sets")
    history = params.value(AnyMethod, f"idrec.methods.{method}.history")  # type: ignore[arg-type]  # a union
    model_folder, roles = paths.recommender(method), ("development", "test")
    interactions = {role: paths.interactions(role) for role in roles}
    records_paths = {(which, role): paths.set_records(which, role) for which in test_sets for role in roles}
    reads = [model_folder, paths.ITEMS, *interactions.values(), *records_paths.values()]
    with runner.running("infer_idrec", method, reads=reads, params=[test_sets, history]) as run:
        # 2. The stored model, and the histories that it ranks from
        model = load_model(model_folder, use_device(params.value(Trainer, "trainer.device")))
        known = {role: tables.read(path, SPLIT_INTERACTIONS) for role, path in interactions.items()}
        # 3. The scores of every set's candidates
        rankings: dict[str, dict[str, pl.DataFrame]] = {role: {} for role in roles}
        metrics = {}
        for (which, role), path in records_paths.items():
            records, start = tables.read(path, RECORDS, leave_out=TEXT_COLUMNS), time.perf_counter()
            scored = score_records(model, records, known[role], history)
            rankings[role][f"set{which}"] = from_scores(method, records, scored.scores)
            if role == "test":
                metrics[f"set{which}"] = scored.metrics()
                run.cost[f"set{which}"] = {"seconds": round(time.perf_counter() - start, 2)}
        # 4. The ranks of the held-out items among all items of their domain; both sets have the same ones
        records = tables.read(records_paths[test_sets[0], "test"], RECORDS, leave_out=TEXT_COLUMNS)
        shown = histories(known["test"], records.select("user_id", "target"), history, model.vocabulary)
        ranks = catalogue_ranks(method, records, tables.read(paths.ITEMS, ITEMS), stored_scores(model, shown))
        # 5. Rankings and metrics
        tables.write_all(rankings["test"], paths.rankings(method), RANKINGS)
        tables.write(ranks, paths.rankings(method) / CATALOGUE_FILE, CATALOGUE_RANKS)
        tables.write_all(rankings["development"], paths.development_rankings(method), RANKINGS)
        files.write_json(metrics, Path(f"metrics/answers/idrec-{method}.json"))


if __name__ == "__main__":
    runner.start(main)
