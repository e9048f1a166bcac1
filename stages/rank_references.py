"""Rank the test records by reference methods: oracles, popularity and random order.   python -m stages.rank_references
Reads data/world, the items, the test records and the interactions of training users and of users without a role;
writes data/rankings/references (with the ranks of held-out items among all items by popularity)."""

import numpy as np
import polars as pl

from kitrec.core import params, tables
from kitrec.preprocessing.params import Data, Source
from kitrec.recommenders.ranking.catalogue import catalogue_ranks
from kitrec.schemas.catalogue_ranks import CATALOGUE_FILE, CATALOGUE_RANKS
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS, from_scores
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.synthetic import oracle
from kitrec.synthetic.histories import USER_TRUTH
from kitrec.synthetic.items import ITEM_TRUTH
from kitrec.synthetic.params import World
from stages.lib import paths, runner


def main() -> None:
    """Rank by popularity and random order and, for a synthetic world, by both oracles."""
    # 1. Params and inputs
    world, source = params.load(World, "world"), params.value(Source, "source.kind")
    test_sets = params.value(Data, "data.test_sets")
    names = ["item_truth.parquet", "user_truth.parquet"] if source == "synthetic" else []
    preferences = [paths.WORLD / name for name in names]
    tests = {which: paths.set_records(which, "test") for which in test_sets}
    counted = [paths.interactions(role) for role in ("train", "others")]
    reads = [paths.ITEMS, *counted, *preferences, *tests.values()]
    with runner.running("rank_references", None, reads=reads, params=[world, source, test_sets]):
        # 2. Items, training interactions and, of a synthetic world, the true preferences
        items = tables.read(paths.ITEMS, ITEMS)
        interactions = pl.concat(tables.read(path, SPLIT_INTERACTIONS) for path in counted)
        schemas = (ITEM_TRUTH, USER_TRUTH)
        oracle_tables = [tables.read(path, schema) for path, schema in zip(preferences, schemas, strict=False)]
        # 3. The scores of every reference method
        rankings = {}
        for which, path in tests.items():
            records = tables.read(path, RECORDS, leave_out=TEXT_COLUMNS)
            scores = {
                "popularity": oracle.popularity_scores(records, interactions),
                "random": oracle.random_scores(records),
            }
            if oracle_tables:
                scores["oracle"] = oracle.oracle_scores(world, records, *oracle_tables)
                scores["oracle_text"] = oracle.text_oracle_scores(world, records, items, oracle_tables[0])
            rankings[f"set{which}"] = pl.concat([from_scores(name, records, values) for name, values in scores.items()])
        # 4. Ranks among all items by popularity, the same for everyone
        counts = interactions["item_id"].value_counts()

        def popularity(rows: np.ndarray, ids: pl.Series) -> np.ndarray:
            counted = pl.DataFrame({"item_id": ids}).join(counts, on="item_id", how="left", maintain_order="left")
            return np.tile(counted["count"].fill_null(0).to_numpy(), (len(rows), 1))

        ranks = catalogue_ranks("popularity", records, items, popularity)
        # 5. Rankings
        tables.write_all(rankings, paths.rankings("references"), RANKINGS)
        tables.write(ranks, paths.rankings("references") / CATALOGUE_FILE, CATALOGUE_RANKS)


if __name__ == "__main__":
    runner.start(main)
