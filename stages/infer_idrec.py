"""Rank the test candidates by a model over item ids.   python -m stages.infer_idrec sasrec
Reads data/idrec/<method>, the test records and the test readers' interactions; writes data/rankings/<method> and
metrics/answers/idrec-<method>.json (what the model did not know)."""

from pathlib import Path

import polars as pl

from kitrec import files, params, tables
from kitrec.contracts.rankings import RANKINGS, from_scores
from kitrec.contracts.records import RECORDS
from kitrec.contracts.seen import SEEN
from kitrec.idrec.candidates import score_records
from kitrec.idrec.params import Method
from kitrec.idrec.storing import load_model
from kitrec.prep.params import Data
from stages import entry, paths


def main(method: str) -> None:
    """Score every candidate of every test record with METHOD's model."""
    sets = params.value(Data, "data.test_sets")
    history = params.value(Method, f"idrec.methods.{method}.history")
    folder, seen_path = Path("data/idrec") / method, paths.interactions("test")
    tests = {which: paths.set_records(which, "test") for which in sets}
    with entry.running("infer_idrec", method, reads=[folder, seen_path, *tests.values()], params=[sets, history]):
        stored, seen = load_model(folder), tables.read(seen_path, SEEN)
        ranked: dict[str, pl.DataFrame] = {}
        counted = {}
        for which, path in tests.items():
            records = tables.read(path, RECORDS)
            scored = score_records(stored, records, seen, history)
            ranked[f"set{which}"] = from_scores(method, records, scored.scores)
            counted[f"set{which}"] = scored.counts()
        tables.write_all(ranked, paths.rankings(method), RANKINGS)
        files.write_json(counted, Path(f"metrics/answers/idrec-{method}.json"))


if __name__ == "__main__":
    entry.start(main)
