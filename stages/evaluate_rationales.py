"""Compute the perplexity of a method's rationales.   python -m stages.evaluate_rationales kitrec_full
Reads data/rationales/<method> and the test records; writes metrics/rationales/<method>.json."""

from functools import partial
from pathlib import Path

from kitrec.core import files, params, tables
from kitrec.evaluation.bootstrap import Resampling
from kitrec.evaluation.params import Evaluation
from kitrec.evaluation.perplexity import perplexities
from kitrec.evaluation.strata import all_and_by_stratum, with_strata
from kitrec.preprocessing.params import Data
from kitrec.schemas.likelihoods import RATIONALES
from kitrec.schemas.records import RECORDS
from stages.lib import paths, runner


def main(method: str) -> None:
    """Compute the perplexity of METHOD's rationales to their writer and to the base, per test set and by stratum."""
    sets = params.value(Data, "data.test_sets")
    resampling = Resampling(params.value(Evaluation, "evaluation.resamples"), params.load(int, "seed"))
    inputs = {w: (paths.of_set(paths.rationales(method), w), paths.set_records(w, "test")) for w in sets}
    reads = [path for pair in inputs.values() for path in pair]
    with runner.running("evaluate_rationales", method, reads=reads, params=[sets, resampling]):
        metrics = {}
        for which, (scored, tested) in inputs.items():
            rationales = with_strata(tables.read(scored, RATIONALES), tables.read(tested, RECORDS))
            metrics[f"set{which}"] = all_and_by_stratum(rationales, partial(perplexities, resampling=resampling))
        files.write_json(metrics, Path(f"metrics/rationales/{method}.json"))


if __name__ == "__main__":
    runner.start(main)
