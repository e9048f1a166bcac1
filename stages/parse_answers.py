"""Parse a method's answers into rankings.   python -m stages.parse_answers kitrec_full
Reads data/items.parquet, test records, the method's data/answers and data/likelihoods; writes data/rankings/<method>
and metrics/answers/<method>.json."""

from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.parsing.history_mentions import history_mentions
from kitrec.parsing.rankings import answer_statistics, rank_answers, rank_likelihoods
from kitrec.preprocessing.params import Data
from kitrec.schemas.answers import ANSWERS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.likelihoods import LIKELIHOODS
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from stages.lib import paths, runner


def main(method: str) -> None:
    """Turn answers and likelihoods of METHOD into rankings, and count failures."""
    # 1. Params and inputs
    sets = params.value(Data, "data.test_sets")
    folders = (paths.answers(method), paths.likelihoods(method))
    inputs = {w: (*(paths.of_set(folder, w) for folder in folders), paths.set_records(w, "test")) for w in sets}
    reads = [paths.ITEMS, *(path for group in inputs.values() for path in group)]
    with runner.running("parse_answers", method, reads=reads, params=[sets]):
        # 2. Written rankings from the texts, scored ones from the likelihoods
        items = tables.read(paths.ITEMS, ITEMS)
        rankings, statistics = {}, {}
        for which, (answered, scored, tested) in inputs.items():
            answers, records = tables.read(answered, ANSWERS), tables.read(tested, RECORDS, leave_out=TEXT_COLUMNS[1:])
            written = rank_answers(answers, records)
            likely = rank_likelihoods(tables.read(scored, LIKELIHOODS), records)
            rankings[f"set{which}"] = pl.concat([written, likely])
            mentions = history_mentions(answers, written, records, items)
            statistics[f"set{which}"] = {**answer_statistics(written, answers), "history_mentions": mentions}
        # 3. One table per test set, failures counted
        tables.write_all(rankings, paths.rankings(method), RANKINGS)
        files.write_json(statistics, Path(f"metrics/answers/{method}.json"))


if __name__ == "__main__":
    runner.start(main)
