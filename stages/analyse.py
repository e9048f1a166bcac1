"""Intervals, tests and confidence behind the scores.   python -m stages.analyse
Reads data/scores, data/rankings and the test records; writes data/analysis (cells, comparisons),
metrics/significance.json, confidence.json and ablation.json, plots/hit10_by_core.csv, calibration.csv, ranks.csv and
sets.csv."""

from pathlib import Path

import polars as pl

from kitrec.core import files, params, tables
from kitrec.evaluation.ablation import ablation
from kitrec.evaluation.comparisons import comparisons
from kitrec.evaluation.confidence import calibration, errors, stated
from kitrec.evaluation.metrics_json import by_effect, declared
from kitrec.evaluation.params import Evaluation
from kitrec.evaluation.rank_curve import ranks
from kitrec.evaluation.score_matrix import matrix
from kitrec.evaluation.strata_means import by_core, by_set, cells, everybody
from kitrec.preprocessing.params import Data
from kitrec.schemas.comparisons import COMPARISONS
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.records import RECORDS
from kitrec.schemas.scores import SCORES
from kitrec.schemas.strata_means import STRATA_MEANS
from stages.lib import paths, runner

ANALYSIS = Path("data/analysis")


def main() -> None:
    """Test every method against every other one on the same users, and what they state against what is true."""
    seed, which = params.load(int, "seed"), params.value(Data, "data.candidate_set")
    p = params.load(Evaluation, "evaluation")
    sets = params.value(Data, "data.test_sets")
    scored, tested = {w: paths.of_set(paths.SCORES, w) for w in sets}, paths.set_records(which, "test")
    rankings = [paths.of_set(paths.rankings(name), which) for name in p.methods]
    with runner.running("analyse", None, reads=[*scored.values(), tested, *rankings], params=[seed, which, sets, p]):
        matrices = {w: matrix(tables.read(path, SCORES)) for w, path in scored.items()}
        m = matrices.pop(which)
        found = comparisons(m, p.family, resamples=p.resamples, flips=p.flips, seed=seed)
        in_cells = cells(m, resamples=p.resamples, fewest=p.fewest, seed=seed)
        tables.write(in_cells, ANALYSIS / "cells.parquet", STRATA_MEANS)
        tables.write(found, ANALYSIS / "comparisons.parquet", COMPARISONS)
        files.write_json(declared(found), Path("metrics/significance.json"))
        effects = (
            ablation(m, p.ablation, resamples=p.resamples, flips=p.flips, seed=seed) if p.ablation.methods else None
        )
        files.write_json({} if effects is None else by_effect(effects), Path("metrics/ablation.json"))
        answers = pl.concat([tables.read(path, RANKINGS) for path in rankings])
        records = tables.read(tested, RECORDS)
        told = stated(answers, records)
        methods = told["method"].unique().sort().to_list()
        by_method = {name: errors(told.filter(pl.col("method") == name)) for name in methods}
        files.write_json(by_method, Path("metrics/confidence.json"))
        others = {w: everybody(o, resamples=p.resamples, fewest=p.fewest, seed=seed) for w, o in matrices.items()}
        plots = {
            "calibration": calibration(told),
            "hit10_by_core": by_core(in_cells, "hit@10"),
            "ranks": ranks(answers, records),
            "sets": by_set({which: in_cells, **others}, ("hit@10", "ndcg@10")),
        }
        for name, plot in plots.items():
            with files.atomic(Path(f"plots/{name}.csv")) as draft:
                plot.write_csv(draft)


if __name__ == "__main__":
    runner.start(main)
