"""Intervals, tests and confidence behind the scores.   python -m stages.analyse
Reads data/scores, data/rankings and the test records; writes data/analysis (cells, comparisons),
metrics/significance.json, confidence.json and ablation.json, plots/hit10_by_core.csv and calibration.csv."""

from pathlib import Path

import polars as pl

from kitrec import files, params, tables
from kitrec.contracts.cells import CELLS, COMPARISONS
from kitrec.contracts.rankings import RANKINGS
from kitrec.contracts.records import RECORDS
from kitrec.contracts.scores import SCORES
from kitrec.evaluation.ablation import ablation
from kitrec.evaluation.cells import by_core, cells
from kitrec.evaluation.comparisons import comparisons
from kitrec.evaluation.confidence import calibration, errors, stated
from kitrec.evaluation.matrix import matrix
from kitrec.evaluation.params import Evaluation
from kitrec.evaluation.told import by_effect, declared
from kitrec.prep.params import Data
from stages import entry, paths

ANALYSIS = Path("data/analysis")


def main() -> None:
    """Test every method against every other one on the same users, and what they state against what is true."""
    seed, which = params.load(int, "seed"), params.value(Data, "data.candidate_set")
    p = params.load(Evaluation, "evaluation")
    scored, tested = paths.of_set(paths.SCORES, which), paths.set_records(which, "test")
    rankings = [paths.of_set(paths.rankings(name), which) for name in p.methods]
    with entry.running("analyse", None, reads=[scored, tested, *rankings], params=[seed, which, p]):
        m = matrix(tables.read(scored, SCORES))
        found = comparisons(m, p.family, resamples=p.resamples, flips=p.flips, seed=seed)
        in_cells = cells(m, resamples=p.resamples, fewest=p.fewest, seed=seed)
        tables.write(in_cells, ANALYSIS / "cells.parquet", CELLS)
        tables.write(found, ANALYSIS / "comparisons.parquet", COMPARISONS)
        files.write_json(declared(found), Path("metrics/significance.json"))
        effects = (
            ablation(m, p.ablation, resamples=p.resamples, flips=p.flips, seed=seed) if p.ablation.methods else None
        )
        files.write_json({} if effects is None else by_effect(effects), Path("metrics/ablation.json"))
        answers = pl.concat([tables.read(path, RANKINGS) for path in rankings])
        told = stated(answers, tables.read(tested, RECORDS))
        methods = told["method"].unique().sort().to_list()
        by_method = {name: errors(told.filter(pl.col("method") == name)) for name in methods}
        files.write_json(by_method, Path("metrics/confidence.json"))
        for name, plot in {"calibration": calibration(told), "hit10_by_core": by_core(in_cells, "hit@10")}.items():
            with files.whole(Path(f"plots/{name}.csv")) as draft:
                plot.write_csv(draft)


if __name__ == "__main__":
    entry.start(main)
