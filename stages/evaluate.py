"""Score all rankings.   python -m stages.evaluate
Reads data/rankings and the test records; writes data/scores, metrics/evaluate.json (the headline: the set that was
trained on), metrics/evaluate_other_set.json (the other one) and plots/hit10_by_core.csv."""

from pathlib import Path

import polars as pl

from kitrec import files, params, tables
from kitrec.contracts.rankings import RANKINGS
from kitrec.contracts.records import RECORDS
from kitrec.contracts.scores import SCORES
from kitrec.evaluation.params import Evaluation
from kitrec.evaluation.scoring import score
from kitrec.evaluation.summary import by_core, summarise
from kitrec.prep.params import Data
from stages import entry, paths


def main() -> None:
    """Compute Hit, MRR and NDCG of every method for every user, and their means by domain, core and user type."""
    data = params.load(Data, "data")
    methods = params.load(Evaluation, "evaluation").methods
    inputs = {which: [paths.rankings(name, which) for name in methods] for which in data.test_sets}
    tests = {which: paths.set_records(which, "test") for which in data.test_sets}
    reads = [*tests.values(), *(path for listed in inputs.values() for path in listed)]
    with entry.running("evaluate", None, reads=reads, params=[data, methods]):
        summaries: dict[str, dict[str, object]] = {}
        for which in data.test_sets:
            rankings = pl.concat([tables.read(path, RANKINGS) for path in inputs[which]])
            scores = score(rankings, tables.read(tests[which], RECORDS))
            tables.write(scores, paths.scores(which), SCORES)
            summaries[which] = summarise(scores)
            if which == data.candidate_set:
                with files.whole(Path("plots/hit10_by_core.csv")) as draft:
                    by_core(scores, "hit@10").write_csv(draft)
        headline = summaries.pop(data.candidate_set)
        files.write_json(headline, Path("metrics/evaluate.json"))
        files.write_json(next(iter(summaries.values()), {}), Path("metrics/evaluate_other_set.json"))


if __name__ == "__main__":
    entry.start(main)
