"""Score all rankings.   python -m stages.evaluate
Reads data/rankings, the test records, items and what training users had; writes data/scores, metrics/evaluate.json and
evaluate_strata.json (the set the models were trained on), metrics/evaluate_other_set.json (the other set),
metrics/catalogue.json (held-out items among all items, freed of popularity, for the methods that rank them),
metrics/beyond_accuracy.json (coverage, novelty, diversity and Gini of the first ten of every method's lists),
metrics/positions.json and plots/positions.csv (hits and first choices by position in the list)."""

from pathlib import Path
from typing import Any

import polars as pl

from kitrec.core import files, params, tables
from kitrec.evaluation.beyond_accuracy import beyond_accuracy
from kitrec.evaluation.bootstrap import Resampling
from kitrec.evaluation.catalogue import aligned_lists, catalogue_metrics
from kitrec.evaluation.params import Evaluation
from kitrec.evaluation.positions import position_bias, position_counts, positions_plot
from kitrec.evaluation.scoring import score
from kitrec.evaluation.summary import summarise, summarise_strata
from kitrec.preprocessing.params import Data, Users
from kitrec.schemas.catalogue_ranks import CATALOGUE_FILE, CATALOGUE_RANKS
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.schemas.scores import SCORES
from stages.lib import paths, runner


def main() -> None:
    """Compute Hit, MRR and NDCG of every method for every user, and their means by domain, core and user type."""
    # 1. Params and inputs
    trained_set = params.value(Data, "data.candidate_set")
    sets = params.value(Data, "data.test_sets")
    methods = params.value(Evaluation, "evaluation.methods")
    inputs = {which: [paths.of_set(paths.rankings(name), which) for name in methods] for which in sets}
    tests = {which: paths.set_records(which, "test") for which in sets}
    reads = [*tests.values(), *(path for listed in inputs.values() for path in listed)]
    ranked = [path for name in methods if (path := paths.rankings(name) / CATALOGUE_FILE).exists()]
    reads += [paths.ITEMS, *ranked, *(counted := [paths.interactions(role) for role in ("train", "others")])]
    cut, resamples = params.value(Users, "users.cut"), params.value(Evaluation, "evaluation.resamples")
    resampling = Resampling(resamples, params.load(int, "seed"))
    with runner.running("evaluate", None, reads=reads, params=[trained_set, sets, methods, cut, resampling]):
        # 2. Every user's metrics, per test set; what the lists hold, and where in the shown list hits stand
        bought = pl.concat(tables.read(path, SPLIT_INTERACTIONS) for path in counted)
        items = tables.read(paths.ITEMS, ITEMS)
        scores, beyond, positions = dict[str, pl.DataFrame](), dict[str, Any](), {}
        for which, listed in inputs.items():
            rankings = pl.concat([tables.read(path, RANKINGS) for path in listed])
            records = tables.read(tests[which], RECORDS, leave_out=TEXT_COLUMNS)
            scores[which] = score(rankings, records)
            positions[f"set{which}"] = position_counts(rankings, records, scores[which])
            beyond[f"set{which}"] = beyond_accuracy(rankings, records, items, bought, resampling)
        # 3. Held-out items among all items, beside the candidates; the propensity of an item is that of its popularity
        catalogue = {}
        if ranked:
            popularity = bought.group_by("item_id").agg(users=pl.col("user_id").n_unique())
            ranks = pl.concat([tables.read(path, CATALOGUE_RANKS) for path in ranked])
            lists = aligned_lists(ranks, {f"set{which}": table for which, table in scores.items()}, popularity)
            catalogue = catalogue_metrics(lists, resampling)
        # 4. Scores, and their means as metrics
        headline = scores[trained_set]
        others = [table for which, table in scores.items() if which != trained_set]
        tables.write_all({f"set{which}": table for which, table in scores.items()}, paths.SCORES, SCORES)
        files.write_json(summarise(headline), Path("metrics/evaluate.json"))
        files.write_json(summarise_strata(headline), Path("metrics/evaluate_strata.json"))
        files.write_json(summarise(others[0]) if others else {}, Path("metrics/evaluate_other_set.json"))
        files.write_json(catalogue, Path("metrics/catalogue.json"))
        files.write_json(beyond, Path("metrics/beyond_accuracy.json"))
        files.write_json(position_bias(positions), Path("metrics/positions.json"))
        with files.atomic(Path("plots/positions.csv")) as draft:
            positions_plot(positions).write_csv(draft)
        runner.warn(["users.cut: users of few target items may be cut, not natural ones: metrics/data.json"] * cut)


if __name__ == "__main__":
    runner.start(main)
