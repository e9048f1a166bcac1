"""Evaluate the like/dislike prediction of a stage of ThinkRec.   python -m stages.evaluate_thinkrec groups
Reads the test records, data/rankings/thinkrec-<stage> and data/routing/thinkrec-<stage>; writes
metrics/thinkrec/<stage>.json (AUC and UAUC with 95 % intervals, missing vectors, routing) and
plots/thinkrec/<stage>.csv (users by the adapters that answered)."""

from pathlib import Path
from typing import Any

from kitrec.core import files, params, tables
from kitrec.evaluation.auc_intervals import like_prediction_auc
from kitrec.evaluation.params import Evaluation
from kitrec.evaluation.routing_summary import has_groups, missing_vectors, routing_statistics, users_by_group
from kitrec.preprocessing.params import Data
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.schemas.routing import ROUTING
from stages.lib import paths, runner


def main(stage: str) -> None:
    """Measure how well STAGE (text, projector, groups) tells the held-out item from the other candidates."""
    # 1. Params and inputs
    seed, sets = params.load(int, "seed"), params.value(Data, "data.test_sets")
    resamples = params.value(Evaluation, "evaluation.resamples")
    rankings, routings = paths.rankings(f"thinkrec-{stage}"), paths.routing(f"thinkrec-{stage}")
    tests = {which: paths.set_records(which, "test") for which in sets}
    tables_of_sets = [paths.of_set(folder, which) for folder in (rankings, routings) for which in sets]
    reads, stage_params = [*tests.values(), *tables_of_sets], [seed, sets, resamples]
    with runner.running("evaluate_thinkrec", stage, reads=reads, params=stage_params):
        # 2. AUC and UAUC of each candidate set, with bootstrap intervals
        metrics = dict[str, Any]()
        for which in sets:
            ranked = tables.read(paths.of_set(rankings, which), RANKINGS)
            routing = tables.read(paths.of_set(routings, which), ROUTING)
            estimate = like_prediction_auc(
                ranked, tables.read(tests[which], RECORDS, leave_out=TEXT_COLUMNS), resamples, seed
            )
            metrics[f"set{which}"] = estimate.to_dict() | missing_vectors(routing)
        # 3. Routing: the users of each group, by the adapters that answered
        if has_groups(routing):  # of the last set: all sets have the same users
            metrics["routing"] = routing_statistics(routing)
        files.write_json(metrics, Path(f"metrics/thinkrec/{stage}.json"))
        with files.atomic(Path(f"plots/thinkrec/{stage}.csv")) as draft:
            users_by_group(routing).write_csv(draft)


if __name__ == "__main__":
    runner.start(main)
