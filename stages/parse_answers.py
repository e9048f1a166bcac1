"""Read rankings out of a method's answers.   python -m stages.parse_answers kitrec_full
Reads data/items.parquet, test records, the method's data/answers and data/likelihoods; writes data/rankings/<method>
and metrics/answers/<method>.json."""

from pathlib import Path

import polars as pl

from kitrec import files, params, tables
from kitrec.answers.rank import outcomes, rank_answers, rank_likelihoods
from kitrec.answers.references import references
from kitrec.contracts.answers import ANSWERS
from kitrec.contracts.items import ITEMS
from kitrec.contracts.likelihoods import LIKELIHOODS
from kitrec.contracts.rankings import RANKINGS
from kitrec.contracts.records import RECORDS
from kitrec.prep.params import Data
from stages import entry, paths


def main(method: str) -> None:
    """Parse the answers of METHOD: what was written and what is likely become rankings, failures are counted."""
    sets = params.value(Data, "data.test_sets")
    folders = (paths.answers(method), paths.likelihoods(method))
    inputs = {w: (*(paths.of_set(folder, w) for folder in folders), paths.set_records(w, "test")) for w in sets}
    reads = [paths.ITEMS, *(path for own in inputs.values() for path in own)]
    with entry.running("parse_answers", method, reads=reads, params=[sets]):
        items = tables.read(paths.ITEMS, ITEMS)
        rankings, counted = {}, {}
        for which, (answered, scored, tested) in inputs.items():
            answers, records = tables.read(answered, ANSWERS), tables.read(tested, RECORDS)
            written = rank_answers(answers, records)
            likely = rank_likelihoods(tables.read(scored, LIKELIHOODS), records)
            rankings[f"set{which}"] = pl.concat([written, likely])
            named = references(answers, written, records, items)
            counted[f"set{which}"] = {**outcomes(written, answers), "references": named}
        tables.write_all(rankings, paths.rankings(method), RANKINGS)
        files.write_json(counted, Path(f"metrics/answers/{method}.json"))


if __name__ == "__main__":
    entry.start(main)
