"""Prepare the data of the pipeline.   python -m stages.prepare
Reads params and, if source.kind requires it, raw/ or the hub; writes data/items.parquet, data/world, data/records,
data/preferences, data/interactions, data/rejects.jsonl, metrics/data.json."""

import sys
from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.core.domains import Domains
from kitrec.preprocessing.audit_input import AuditInput
from kitrec.preprocessing.dataset import Dataset, by_model, count_rows
from kitrec.preprocessing.difficulty import difficulty_report
from kitrec.preprocessing.leak_audit import audit, enforce
from kitrec.preprocessing.overlap import apply_overlap_policy, overlap_warnings
from kitrec.preprocessing.params import Candidates, Source, Users
from kitrec.preprocessing.preference_pairs import preference_pairs
from kitrec.recommenders.params import IdRec
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.preferences import PREFERENCES
from kitrec.schemas.records import RECORDS
from kitrec.sources.quarantine import Quarantine
from kitrec.synthetic.build import write_world
from kitrec.synthetic.params import World
from stages.lib import paths, runner, sources

REJECTS = Path("data/rejects.jsonl")


def main(quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Load a source, hold out every user's last target interaction, draw candidate sets A and B, audit for leaks."""
    # 1. Params and inputs
    seed, domains, source = params.load(int, "seed"), params.load(Domains, "domains"), params.load(Source, "source")
    world, users = params.load(World, "world"), params.load(Users, "users").limited(source.limit)
    candidates, train_on = params.load(Candidates, "candidates"), params.value(IdRec, "idrec.train_on")
    reads, stage_params = [paths.PARAMS_OK, sources.RAW], [seed, domains, source, world, users, candidates, train_on]
    with runner.running("prepare", None, reads=reads, params=stage_params) as run:
        # 2. Load the source; invalid rows are quarantined
        rejects, drawn = Quarantine(), (source, world, users, candidates)
        data = sources.load_source(sources.SourceConfig(seed, domains, *drawn, run.work, rejects, train_on, quiet))
        rejects.write(REJECTS)
        rejects.check(source.reject_limit, REJECTS)
        # 3. Overlap policy and leak audit, before anything is written
        dataset, overlap = apply_overlap_policy(data.dataset, source.overlap)
        by_set, history = dataset.records, dataset.training_history
        findings = {w: audit(AuditInput(r, data.items, data.interactions, history, domains)) for w, r in by_set.items()}
        leaks = enforce(findings, source.leaks, source.overlap)
        # 4. The tables
        write_world(data.world, paths.WORLD)
        tables.write(data.items, paths.ITEMS, ITEMS)
        pairs = write_dataset(seed, domains, dataset, data)
        # 5. What was prepared, as metrics
        difficulty = {w: difficulty_report(r["test"], data.items, history) for w, r in by_set.items()}
        metrics = {"source": source.kind, "rows": rejects.read, "rejected": rejects.reasons(), **data.counts}
        metrics |= {"items": data.items.height, **count_rows(dataset, domains), "others": data.others.height}
        metrics |= {"preference_pairs": pairs, "overlap": overlap, "leaks": leaks, "difficulty": difficulty}
        files.write_json(metrics, Path("metrics/data.json"))
        runner.warn([*overlap_warnings(overlap), *data.deviations])


def write_dataset(seed: int, domains: Domains, dataset: Dataset, data: sources.SourceData) -> dict[str, int]:
    """Write per set the records by role, and by model those that train one; return the pairs of each set."""
    records, preferences = dict[str, pl.DataFrame](), dict[str, pl.DataFrame]()
    for which, roles in dataset.records.items():
        for role in ("train", "development"):
            records |= {f"set{which}/{model}/{role}": rows for model, rows in by_model(roles[role], domains).items()}
        records |= {f"set{which}/{role}": roles[role] for role in ("preference", "development", "test")}
        preferences[f"set{which}"] = preference_pairs(seed, roles["preference"], data.pair_outputs)
    tables.write_all(records, paths.RECORDS, RECORDS)
    tables.write_all(preferences, paths.PREFERENCES, PREFERENCES)
    tables.write_all({**dataset.interactions, "others": data.others}, paths.INTERACTIONS, SPLIT_INTERACTIONS)
    if not any(pairs.height for pairs in preferences.values()):
        print("WARNING: no preference pairs, as no preference record has an output: use grpo, not dpo", file=sys.stderr)
    return {which.removeprefix("set"): pairs.height for which, pairs in preferences.items()}


if __name__ == "__main__":
    runner.start(main)
