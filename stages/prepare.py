"""Make the data the pipeline stands on.   python -m stages.prepare
Reads params and, where source.kind says so, raw/ or the hub; writes data/items.parquet, data/world, data/records,
data/preferences, data/interactions, data/rejects.jsonl, metrics/data.json."""

from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.preprocessing import difficulty
from kitrec.preprocessing.dataset import Dataset, by_model, counts
from kitrec.preprocessing.leak_audit import AuditInput, audit, enforce
from kitrec.preprocessing.overlap import apply_overlap_policy
from kitrec.preprocessing.params import Candidates, Source, Users
from kitrec.preprocessing.preference_pairs import pairs
from kitrec.recommenders.params import IdRec
from kitrec.schemas.items import ITEMS
from kitrec.schemas.preferences import PREFERENCES
from kitrec.schemas.records import RECORDS
from kitrec.schemas.split_interactions import SPLIT_INTERACTIONS
from kitrec.sources.quarantine import Quarantine
from kitrec.synthetic.params import World
from kitrec.synthetic.build import write_world
from kitrec.synthetic.teacher import Teacher
from stages.lib import paths, runner, sources

PREFERENCE_PAIRS, REJECTS = Path("data/preferences"), Path("data/rejects.jsonl")


def main(quiet: runner.Quiet = runner.NOBODY_WATCHES) -> None:
    """Read a source, hold out every user's last target interaction, draw candidate sets A and B, look for leaks."""
    seed, source = params.load(int, "seed"), params.load(Source, "source")
    world, users = params.load(World, "world"), params.load(Users, "users")
    p, train_on = params.load(Candidates, "candidates"), params.value(IdRec, "idrec.train_on")
    reads = [paths.PARAMS_OK, sources.RAW]
    with runner.running("prepare", None, reads=reads, params=[seed, source, world, users, p, train_on]) as run:
        rejects = Quarantine()
        sourced = sources.read(sources.Asked(seed, source, world, users, p, run.work, rejects, train_on, quiet))
        rejects.write(REJECTS)
        rejects.check(source.reject_limit, REJECTS)
        dataset, overlap = apply_overlap_policy(sourced.dataset, source.overlap)
        past = dataset.training_history
        leaks = {w: audit(AuditInput(r, sourced.items, sourced.interactions, past)) for w, r in dataset.records.items()}
        found = enforce(leaks, source.leaks, source.overlap)  # before anything is written
        write_world(sourced.world, paths.WORLD)
        tables.write(sourced.items, paths.ITEMS, ITEMS)
        write_dataset(seed, dataset, sourced.others, sourced.teacher)
        hard = {w: difficulty.report(r["test"], sourced.items, past) for w, r in dataset.records.items()}
        figures = {"source": source.kind, "rows": rejects.read, "rejected": rejects.reasons(), **sourced.counts}
        figures |= {"items": sourced.items.height, **counts(dataset), "others": sourced.others.height}
        figures |= {"overlap": overlap, "leaks": found, "difficulty": hard}
        files.write_json(figures, Path("metrics/data.json"))


def write_dataset(seed: int, dataset: Dataset, others: pl.DataFrame, teacher: Teacher) -> None:
    """Per set: training and development records by model (with outputs), preference and test records (without)."""
    records, preferences = dict[str, pl.DataFrame](), dict[str, pl.DataFrame]()
    for which, roles in dataset.records.items():
        for role in ("train", "development"):
            records |= {f"set{which}/{model}/{role}": own for model, own in by_model(roles[role]).items()}
        records |= {f"set{which}/{role}": roles[role] for role in ("preference", "test")}
        preferences[f"set{which}"] = pairs(seed, roles["preference"], teacher.explain)
    tables.write_all(records, paths.RECORDS, RECORDS)
    tables.write_all(preferences, PREFERENCE_PAIRS, PREFERENCES)
    tables.write_all({**dataset.interactions, "others": others}, paths.INTERACTIONS, SPLIT_INTERACTIONS)


if __name__ == "__main__":
    runner.start(main)
