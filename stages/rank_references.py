"""Rank the test records by the world's own knowledge and by no knowledge at all.   python -m stages.rank_references
Reads data/world, the items, the test records and the training interactions; writes data/rankings/references."""

import polars as pl

from kitrec import params, tables
from kitrec.contracts.items import ITEMS
from kitrec.contracts.rankings import RANKINGS, from_scores
from kitrec.contracts.records import RECORDS
from kitrec.contracts.seen import SEEN
from kitrec.prep.params import Data
from kitrec.world import oracle
from kitrec.world.histories import USER_TRUTH
from kitrec.world.items import ITEM_TRUTH
from kitrec.world.params import World
from stages import entry, paths


def main() -> None:
    """Write the rankings of the full oracle, the text-only oracle, popularity and random order."""
    world = params.load(World, "world")
    sets = params.value(Data, "data.test_sets")
    truths = [paths.WORLD / "item_truth.parquet", paths.WORLD / "user_truth.parquet"]
    tests = {which: paths.set_records(which, "test") for which in sets}
    reads = [paths.ITEMS, paths.interactions("train"), *truths, *tests.values()]
    with entry.running("rank_references", None, reads=reads, params=[world, sets]):
        items, seen = tables.read(paths.ITEMS, ITEMS), tables.read(paths.interactions("train"), SEEN)
        item_truth, user_truth = tables.read(truths[0], ITEM_TRUTH), tables.read(truths[1], USER_TRUTH)
        ranked = {}
        for which, path in tests.items():
            test = tables.read(path, RECORDS)
            scores = {
                "oracle": oracle.oracle_scores(world, test, item_truth, user_truth),
                "oracle_text": oracle.text_oracle_scores(world, test, items, item_truth),
                "popularity": oracle.popularity_scores(test, seen),
                "random": oracle.random_scores(test),
            }
            ranked[f"set{which}"] = pl.concat([from_scores(name, test, values) for name, values in scores.items()])
        tables.write_all(ranked, paths.rankings("references"), RANKINGS)


if __name__ == "__main__":
    entry.start(main)
