"""Add up what titles and a recommender say of each candidate.   python -m stages.fuse_rankings METHOD
Reads the records and the rankings of both methods of titles.fusions.<method>, of development and test records; writes
data/rankings/<method> and metrics/answers/fusion-<method>.json (the weights, chosen on development records)."""

from pathlib import Path

from kitrec.core import files, params, tables
from kitrec.preprocessing.params import Data
from kitrec.schemas.rankings import RANKINGS, from_scores
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.titles.late_fusion import choose_weight, standardise
from kitrec.titles.params import Fusion
from stages.lib import paths, runner


def main(method: str) -> None:
    """Rank the candidates of both test sets by fusion METHOD."""
    # 1. Params and inputs
    test_sets, p = params.value(Data, "data.test_sets"), params.load(Fusion, f"titles.fusions.{method}")
    folders = {
        role: [folder(method) for method in (p.recommender, p.titles)]
        for role, folder in (("development", paths.development_rankings), ("test", paths.rankings))
    }
    records = {(which, role): paths.set_records(which, role) for which in test_sets for role in folders}
    reads = [*records.values(), *(folder for both in folders.values() for folder in both)]
    with runner.running("fuse_rankings", method, reads=reads, params=[test_sets, p]):
        rankings, weights = {}, {}
        for which in test_sets:
            # 2. Both methods' scores, standardised within each record
            read, scores = {}, {}
            for role, both in folders.items():
                read[role] = tables.read(records[which, role], RECORDS, leave_out=TEXT_COLUMNS)
                ranked = [tables.read(paths.of_set(folder, which), RANKINGS) for folder in both]
                scores[role] = standardise(read[role], *ranked)
            # 3. The weight that development records choose, on the test records
            weights[f"set{which}"] = choose_weight(read["development"], scores["development"])
            fused = scores["test"].fused(weights[f"set{which}"]["title_weight"])
            rankings[f"set{which}"] = from_scores(method, read["test"], [values.tolist() for values in fused])
        # 4. Rankings and the weights
        tables.write_all(rankings, paths.rankings(method), RANKINGS)
        files.write_json(weights, Path(f"metrics/answers/fusion-{method}.json"))


if __name__ == "__main__":
    runner.start(main)
