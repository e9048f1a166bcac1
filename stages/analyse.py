"""Compute intervals, tests and calibration of the scores.   python -m stages.analyse
Reads data/scores, data/rankings and the test records; writes data/analysis (strata means, comparisons),
metrics/significance.json, confidence.json and ablation.json, plots/hit10_by_core.csv, calibration.csv, ranks.csv and
sets.csv."""

from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.evaluation.calibration import calibration_curve, calibration_errors, stated_confidence
from kitrec.evaluation.comparisons import comparisons
from kitrec.evaluation.contrasts import ablation
from kitrec.evaluation.metrics_json import comparisons_to_dict, effects_to_dict
from kitrec.evaluation.params import Evaluation
from kitrec.evaluation.score_matrix import score_matrix
from kitrec.evaluation.scoring import hit_rate_curves
from kitrec.evaluation.strata_means import means_by_core, means_by_set, overall_means, strata_means
from kitrec.preprocessing.params import Data
from kitrec.schemas.comparisons import COMPARISONS
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.schemas.scores import SCORES
from kitrec.schemas.strata_means import STRATA_MEANS
from stages.lib import paths, runner

ANALYSIS = Path("data/analysis")


def main() -> None:
    """Compare all methods pairwise on the same users, and their stated confidence with the ratings."""
    # 1. Params and inputs
    seed, which = params.load(int, "seed"), params.value(Data, "data.candidate_set")
    p = params.load(Evaluation, "evaluation")
    sets = params.value(Data, "data.test_sets")
    scored, tested = {w: paths.of_set(paths.SCORES, w) for w in sets}, paths.set_records(which, "test")
    rankings = [paths.of_set(paths.rankings(name), which) for name in p.methods]
    with runner.running("analyse", None, reads=[*scored.values(), tested, *rankings], params=[seed, which, sets, p]):
        # 2. Paired tests and means by stratum, each with its interval
        matrices = {w: score_matrix(tables.read(path, SCORES)) for w, path in scored.items()}
        m = matrices.pop(which)
        resampling = {"resamples": p.resamples, "seed": seed}
        compared = comparisons(m, p.family, permutations=p.permutations, **resampling)
        means = strata_means(m, min_users=p.min_users, **resampling)
        tables.write(means, ANALYSIS / "strata_means.parquet", STRATA_MEANS)
        tables.write(compared, ANALYSIS / "comparisons.parquet", COMPARISONS)
        files.write_json(comparisons_to_dict(compared), Path("metrics/significance.json"))
        # 3. The 2x2 ablation
        effects = ablation(m, p.ablation, permutations=p.permutations, **resampling) if p.ablation.methods else None
        files.write_json({} if effects is None else effects_to_dict(effects), Path("metrics/ablation.json"))
        # 4. Stated confidence against ratings
        answers = pl.concat([tables.read(path, RANKINGS) for path in rankings])
        records = tables.read(tested, RECORDS, leave_out=TEXT_COLUMNS)
        confidence = stated_confidence(answers, records)
        methods = confidence["method"].unique().sort().to_list()
        by_method = {name: calibration_errors(confidence.filter(pl.col("method") == name)) for name in methods}
        files.write_json(by_method, Path("metrics/confidence.json"))
        # 5. Tables of the plots
        others = {w: overall_means(other, min_users=p.min_users, **resampling) for w, other in matrices.items()}
        plots = {
            "calibration": calibration_curve(confidence),
            "hit10_by_core": means_by_core(means, "hit@10"),
            "ranks": hit_rate_curves(answers, records),
            "sets": means_by_set({which: means, **others}, ("hit@10", "ndcg@10")),
        }
        for name, plot in plots.items():
            with files.atomic(Path(f"plots/{name}.csv")) as draft:
                plot.write_csv(draft)


if __name__ == "__main__":
    runner.start(main)
