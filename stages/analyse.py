"""Intervals, tests and confidence behind the scores.   python -m stages.analyse
Reads data/scores, data/rankings and the test records; writes data/analysis (cells, comparisons),
metrics/significance.json, confidence.json and ablation.json, plots/hit10_by_core.csv and calibration.csv."""

from pathlib import Path
from typing import Any

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
from kitrec.evaluation.matrix import Matrix, matrix
from kitrec.evaluation.params import Evaluation
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
        files.write_json(_declared(found), Path("metrics/significance.json"))
        files.write_json(_ablation(m, p, seed), Path("metrics/ablation.json"))
        answers = pl.concat([tables.read(path, RANKINGS) for path in rankings])
        told = stated(answers, tables.read(tested, RECORDS))
        methods = told["method"].unique().sort().to_list()
        by_method = {name: errors(told.filter(pl.col("method") == name)) for name in methods}
        files.write_json(by_method, Path("metrics/confidence.json"))
        for name, plot in {"calibration": calibration(told), "hit10_by_core": by_core(in_cells, "hit@10")}.items():
            with files.whole(Path(f"plots/{name}.csv")) as draft:
                plot.write_csv(draft)


def _declared(found: pl.DataFrame) -> dict[str, Any]:
    """metric -> `method against other` -> the numbers of a declared comparison."""
    told = ("n", "difference", "low", "high", "p", "p_holm", "effect", "size", "mde", "stars")
    rows = list(_rounded(found.filter("declared")).iter_rows(named=True))
    return {
        metric: {
            f"{row['method']} against {row['other']}": {name: row[name] for name in told}
            for row in rows
            if row["metric"] == metric
        }
        for metric in dict.fromkeys(row["metric"] for row in rows)
    }


def _ablation(m: Matrix, p: Evaluation, seed: int) -> dict[str, Any]:
    """metric -> effect -> numbers; empty where no 2x2 is declared."""
    if not p.ablation.methods:
        return {}
    told = ("n", "difference", "low", "high", "p", "effect")
    rows = ablation(m, p.ablation, resamples=p.resamples, flips=p.flips, seed=seed)
    found: dict[str, Any] = {}
    for row in _rounded(rows).iter_rows(named=True):
        found.setdefault(row["metric"], {})[row["of"]] = {name: row[name] for name in told}
    return found


def _rounded(table: pl.DataFrame) -> pl.DataFrame:
    """Six places, but p-values their three leading digits."""
    p = pl.selectors.starts_with("p_") | pl.selectors.by_name("p")
    return table.with_columns((pl.selectors.float() - p).round(6), p.round_sig_figs(3))


if __name__ == "__main__":
    entry.start(main)
