"""Rank the test records by reference methods: oracles, popularity and random order.   python -m stages.rank_references
Reads data/world, the items, the test records and the training interactions; writes data/rankings/references."""

import polars as pl

from kitrec.core import params, tables
from kitrec.preprocessing.params import Data, Source
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS, from_scores
from kitrec.schemas.records import RECORDS
from kitrec.schemas.split_interactions import SPLIT_INTERACTIONS
from kitrec.synthetic import oracle
from kitrec.synthetic.histories import USER_TRUTH
from kitrec.synthetic.items import ITEM_TRUTH
from kitrec.synthetic.params import World
from stages.lib import paths, runner


def main() -> None:
    """Rank by popularity and random order and, for a synthetic world, by both oracles."""
    world = params.load(World, "world")
    source = params.value(Source, "source.kind")
    sets = params.value(Data, "data.test_sets")
    names = ["item_truth.parquet", "user_truth.parquet"] if source == "synthetic" else []
    preferences = [paths.WORLD / name for name in names]
    tests = {which: paths.set_records(which, "test") for which in sets}
    reads = [paths.ITEMS, paths.interactions("train"), *preferences, *tests.values()]
    with runner.running("rank_references", None, reads=reads, params=[world, source, sets]):
        items, interactions = (
            tables.read(paths.ITEMS, ITEMS),
            tables.read(paths.interactions("train"), SPLIT_INTERACTIONS),
        )
        oracle_tables = [
            tables.read(path, table) for path, table in zip(preferences, (ITEM_TRUTH, USER_TRUTH), strict=False)
        ]
        ranked = {}
        for which, path in tests.items():
            test = tables.read(path, RECORDS)
            scores = {"popularity": oracle.popularity_scores(test, interactions), "random": oracle.random_scores(test)}
            if oracle_tables:
                scores["oracle"] = oracle.oracle_scores(world, test, *oracle_tables)
                scores["oracle_text"] = oracle.text_oracle_scores(world, test, items, oracle_tables[0])
            ranked[f"set{which}"] = pl.concat([from_scores(name, test, values) for name, values in scores.items()])
        tables.write_all(ranked, paths.rankings("references"), RANKINGS)


if __name__ == "__main__":
    runner.start(main)
