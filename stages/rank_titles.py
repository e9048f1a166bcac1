"""Rank development and test candidates by their titles.   python -m stages.rank_titles METHOD
Reads params, models/base/base.json, data/titles/<method>, data/items.parquet, the interactions and records of both
roles; writes data/rankings/<method>, data/development_rankings/<method> and metrics/answers/titles-<method>.json (the
form of the scores that each set's development records choose)."""

from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.core.domains import Domains
from kitrec.core.shards import by_slice, compute_in_shards
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.preprocessing.params import Data
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS, from_scores
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.titles.calibration import EVIDENCE, METRIC, Evidence, calibrate, from_table
from kitrec.titles.questions import true_columns
from kitrec.titles.storage import load_method
from kitrec.training.device import use_device
from kitrec.training.params import Trainer
from kitrec.training.progress import count_bar
from stages.lib import paths, runner

SHARD_SIZE = 100  # records that a killed stage reads again at most


def main(method: str, quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Rank the candidates of both sets by METHOD."""
    # 1. Params and inputs
    domains, test_sets = params.load(Domains, "domains"), params.value(Data, "data.test_sets")
    use_device(params.value(Trainer, "trainer.device"))
    folder, roles = paths.title_model(method), ("development", "test")
    interactions = {role: paths.interactions(role) for role in roles}
    records = {(which, role): paths.set_records(which, role) for which in test_sets for role in roles}
    reads = [FILE, folder, paths.ITEMS, *interactions.values(), *records.values()]
    with runner.running("rank_titles", method, reads=reads, params=[domains, test_sets]) as run:
        # 2. The trained model
        model = load_method(folder, read_pinned(), tables.read(paths.ITEMS, ITEMS), domains)
        known = {role: tables.read(path, SPLIT_INTERACTIONS) for role, path in interactions.items()}

        def evidence(rows: pl.DataFrame, which: str, role: str) -> Evidence:
            """Return what the model knows of the candidates, computed in shards that survive a kill."""
            compute = by_slice(rows, lambda part: model.evidence(part, known[role]).table(part["record_id"]))
            with count_bar(f"{method} set{which} {role}", rows.height, quiet=quiet) as advance:
                shards = (rows.height, SHARD_SIZE, run.work / f"{which}-{role}", EVIDENCE)
                return from_table(compute_in_shards(*shards, compute, advance))

        # 3. Scores of each set, in the form that its development records choose
        rankings: dict[str, dict[str, pl.DataFrame]] = {role: {} for role in roles}
        chosen = {}
        for which in test_sets:
            rows = {role: tables.read(records[which, role], RECORDS, leave_out=TEXT_COLUMNS) for role in roles}
            known_of = {role: evidence(rows[role], which, role) for role in roles}
            calibration, ndcg = calibrate(known_of["development"], true_columns(rows["development"]))
            chosen[f"set{which}"] = {METRIC: round(ndcg, 6), **calibration.metrics()}
            for role in roles:
                scores = [values.tolist() for values in calibration.scores(known_of[role])]
                rankings[role][f"set{which}"] = from_scores(method, rows[role], scores)
        # 4. Rankings and the forms
        tables.write_all(rankings["test"], paths.rankings(method), RANKINGS)
        tables.write_all(rankings["development"], paths.development_rankings(method), RANKINGS)
        files.write_json(chosen, Path(f"metrics/answers/titles-{method}.json"))


if __name__ == "__main__":
    runner.start(main)
