"""Read rankings out of a method's answers.   python -m stages.parse_answers kitrec_full
Reads data/answers/<method> and the test records; writes data/rankings/<method> and metrics/answers/<method>.json."""

from pathlib import Path

from kitrec import files, params, tables
from kitrec.answers.rank import outcomes, rank_answers
from kitrec.contracts.answers import ANSWERS
from kitrec.contracts.rankings import RANKINGS
from kitrec.contracts.records import RECORDS
from kitrec.prep.params import Data
from stages import entry, paths


def main(method: str) -> None:
    """Parse the answers of METHOD: what was written becomes a ranking, what failed is named and counted."""
    sets = params.value(Data, "data.test_sets")
    inputs = {which: (paths.of_set(paths.answers(method), which), paths.set_records(which, "test")) for which in sets}
    reads = [path for pair in inputs.values() for path in pair]
    with entry.running("parse_answers", method, reads=reads, params=[sets]):
        rankings, counted = {}, {}
        for which, (answered, tested) in inputs.items():
            answers = tables.read(answered, ANSWERS)
            rankings[f"set{which}"] = rank_answers(answers, tables.read(tested, RECORDS))
            counted[f"set{which}"] = outcomes(rankings[f"set{which}"], answers)
        tables.write_all(rankings, paths.rankings(method), RANKINGS)
        files.write_json(counted, Path(f"metrics/answers/{method}.json"))


if __name__ == "__main__":
    entry.start(main)
