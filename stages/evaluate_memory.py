"""Say what the base knows of the test data by heart; metrics by it.   python -m stages.evaluate_memory base
Reads data/memory/<base>.parquet, data/scores and the test records; writes metrics/memory/<base>.json."""

from pathlib import Path

from kitrec.core import files, params, tables
from kitrec.evaluation.bootstrap import Resampling
from kitrec.evaluation.memory import known_items, memory_figures, scores_by_memory
from kitrec.evaluation.params import Evaluation
from kitrec.preprocessing.params import Data
from kitrec.schemas.memory import MEMORY
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.schemas.scores import SCORES
from stages.lib import paths, runner


def main(base: str) -> None:
    """Compare the lines of BASE with true and with shuffled titles; average scores over known and unknown items."""
    # 1. Params and inputs
    sets, seed = params.value(Data, "data.test_sets"), params.load(int, "seed")
    resampling = Resampling(params.value(Evaluation, "evaluation.resamples"), seed)
    min_users = params.value(Evaluation, "evaluation.min_users")
    tests = {which: paths.set_records(which, "test") for which in sets}
    scored = {which: paths.of_set(paths.SCORES, which) for which in sets}
    reads = [paths.memory(base), *tests.values(), *scored.values()]
    with runner.running("evaluate_memory", base, reads=reads, params=[sets, resampling, min_users]):
        # 2. The three probes against their controls
        lines = tables.read(paths.memory(base), MEMORY)
        metrics = {"probes": memory_figures(lines, seed)}
        # 3. The scores of each test set over items whose titles the base completes, and over the others
        known = known_items(lines)
        for which in sets:
            records = tables.read(tests[which], RECORDS, leave_out=TEXT_COLUMNS)
            scores = tables.read(scored[which], SCORES)
            metrics[f"set{which}"] = scores_by_memory(scores, records, known, resampling, min_users)
        files.write_json(metrics, Path(f"metrics/memory/{base}.json"))


if __name__ == "__main__":
    runner.start(main)
