"""Rank the test candidates by their titles.   python -m stages.rank_titles METHOD
Reads params, models/base/base.json, data/titles/<method>, data/items.parquet, data/interactions/test.parquet,
data/records; writes data/rankings/<method>."""

import polars as pl

from kitrec.core import params, tables
from kitrec.core.domains import Domains
from kitrec.core.shards import by_slice, compute_in_shards
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.preprocessing.params import Data
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS, from_scores
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.titles.storage import load_method
from kitrec.training.progress import count_bar
from stages.lib import paths, runner

SHARD_SIZE = 100  # records that a killed stage ranks again at most


def main(method: str, quiet: runner.Quiet = runner.NO_TERMINAL) -> None:
    """Rank the candidates of both test sets by METHOD."""
    # 1. Params and inputs
    domains, test_sets = params.load(Domains, "domains"), params.value(Data, "data.test_sets")
    folder, interactions = paths.title_model(method), paths.interactions("test")
    records = {which: paths.set_records(which, "test") for which in test_sets}
    reads = [FILE, folder, paths.ITEMS, interactions, *records.values()]
    with runner.running("rank_titles", method, reads=reads, params=[domains, test_sets]) as run:
        # 2. The trained model
        model = load_method(folder, read_pinned(), tables.read(paths.ITEMS, ITEMS), domains)
        test = tables.read(interactions, SPLIT_INTERACTIONS)
        # 3. Scores of both sets, in the form that the development users chose
        rankings = {}
        for which, path in records.items():
            table = tables.read(path, RECORDS, leave_out=TEXT_COLUMNS)

            def rank(part: pl.DataFrame) -> pl.DataFrame:
                return from_scores(method, part, [scores.tolist() for scores in model.scores(part, test)])

            with count_bar(f"rank_titles {method} set{which}", table.height, quiet=quiet) as advance:
                shards = (table.height, SHARD_SIZE, run.work / which, RANKINGS)
                rankings[f"set{which}"] = compute_in_shards(*shards, by_slice(table, rank), advance)
        tables.write_all(rankings, paths.rankings(method), RANKINGS)


if __name__ == "__main__":
    runner.start(main)
