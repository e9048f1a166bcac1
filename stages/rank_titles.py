"""Rank the test candidates by their titles.   python -m stages.rank_titles METHOD
Reads params, models/base/base.json, data/titles/<method>, data/items.parquet, data/interactions/test.parquet,
data/records; writes data/rankings/<method>."""

from kitrec.core import params, tables
from kitrec.core.domains import Domains
from kitrec.llm.base.pinning import FILE, read_pinned
from kitrec.preprocessing.params import Data
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS, from_scores
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.titles.storage import load_method
from stages.lib import paths, runner


def main(method: str) -> None:
    """Rank the candidates of both test sets by METHOD."""
    # 1. Params and inputs
    domains, test_sets = params.load(Domains, "domains"), params.value(Data, "data.test_sets")
    folder, interactions = paths.title_model(method), paths.interactions("test")
    records = {which: paths.set_records(which, "test") for which in test_sets}
    reads = [FILE, folder, paths.ITEMS, interactions, *records.values()]
    with runner.running("rank_titles", method, reads=reads, params=[domains, test_sets]):
        # 2. The trained model
        model = load_method(folder, read_pinned(), tables.read(paths.ITEMS, ITEMS), domains)
        test = tables.read(interactions, SPLIT_INTERACTIONS)
        # 3. Scores of both sets, in the form that the development users chose
        rankings = {}
        for which, path in records.items():
            asked = tables.read(path, RECORDS, leave_out=TEXT_COLUMNS)
            rankings[f"set{which}"] = from_scores(method, asked, [v.tolist() for v in model.scores(asked, test)])
        tables.write_all(rankings, paths.rankings(method), RANKINGS)


if __name__ == "__main__":
    runner.start(main)
