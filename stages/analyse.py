"""Compute intervals, tests and calibration of the scores.   python -m stages.analyse
Reads data/scores, data/rankings and the test records; writes data/analysis (strata means, comparisons),
metrics/significance.json, ablation.json, confidence.json (and confidence_other_set.json), plots/hit10_by_core.csv,
calibration.csv, ranks.csv and sets.csv."""

from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.evaluation.bootstrap import Resampling
from kitrec.evaluation.calibration import calibration_curve, errors_by_method, stated_confidence
from kitrec.evaluation.comparisons import comparisons, requested_items
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
    p, sets = params.load(Evaluation, "evaluation"), params.value(Data, "data.test_sets")
    scored = {w: paths.of_set(paths.SCORES, w) for w in sets}
    tested = {w: paths.set_records(w, "test") for w in sets}
    rankings = {w: [paths.of_set(paths.rankings(name), w) for name in p.methods] for w in sets}
    reads = [*scored.values(), *tested.values(), *(path for listed in rankings.values() for path in listed)]
    with runner.running("analyse", None, reads=reads, params=[seed, which, sets, p]):
        # 2. Paired tests and means by stratum, each with its interval
        matrices = {w: score_matrix(tables.read(path, SCORES)) for w, path in scored.items()}
        m = matrices.pop(which)
        resampling = {"resamples": p.resamples, "seed": seed}
        answers = {w: pl.concat([tables.read(path, RANKINGS) for path in listed]) for w, listed in rankings.items()}
        requested = requested_items(answers[which])
        compared = comparisons(m, p.family, answer_items=requested, permutations=p.permutations, **resampling)
        means = strata_means(m, min_users=p.min_users, **resampling)
        tables.write(means, ANALYSIS / "strata_means.parquet", STRATA_MEANS)
        tables.write(compared, ANALYSIS / "comparisons.parquet", COMPARISONS)
        files.write_json(comparisons_to_dict(compared), Path("metrics/significance.json"))
        # 3. The 2x2 ablation
        effects = ablation(m, p.ablation, permutations=p.permutations, **resampling) if p.ablation.methods else None
        files.write_json({} if effects is None else effects_to_dict(effects), Path("metrics/ablation.json"))
        # 4. Stated confidence against ratings, overall and by stratum, on every test set
        records = {w: tables.read(path, RECORDS, leave_out=TEXT_COLUMNS) for w, path in tested.items()}
        confidence = {w: stated_confidence(answers[w], records[w]) for w in sets}
        errors = {w: errors_by_method(stated, Resampling(**resampling)) for w, stated in confidence.items()}
        files.write_json(errors.pop(which), Path("metrics/confidence.json"))
        files.write_json(next(iter(errors.values()), {}), Path("metrics/confidence_other_set.json"))
        # 5. Tables of the plots
        others = {w: overall_means(other, min_users=p.min_users, **resampling) for w, other in matrices.items()}
        plots = {
            "calibration": calibration_curve(confidence[which]),
            "hit10_by_core": means_by_core(means, "hit@10"),
            "ranks": hit_rate_curves(answers[which], records[which]),
            "sets": means_by_set({which: means, **others}, ("hit@10", "ndcg@10")),
        }
        for name, plot in plots.items():
            with files.atomic(Path(f"plots/{name}.csv")) as draft:
                plot.write_csv(draft)


if __name__ == "__main__":
    runner.start(main)
