"""Tables of the report's first screen: means and paired tests of every test set, domain and target history."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kitrec.core import params, tables
from kitrec.core.domains import Domains
from kitrec.evaluation.comparisons import comparisons, requested_items
from kitrec.evaluation.params import Evaluation, Family
from kitrec.evaluation.score_matrix import ScoreMatrix, score_matrix
from kitrec.evaluation.strata_means import strata_means
from kitrec.llm.generation.params import Infer
from kitrec.preprocessing.params import Data
from kitrec.report.first_screen import ALL, METRICS, FirstScreen, View, first_screen, views
from kitrec.report.palette import Method, Role, methods
from kitrec.report.paper_tables import REFERENCES
from kitrec.schemas.rankings import RANKINGS
from kitrec.schemas.scores import SCORES

ORACLES = ("oracle", "oracle_text")  # references that know a synthetic world's tastes
MAIN_METRIC = "ndcg@10"
REFERENCE_NOTES = {
    "popularity": "by training interactions of an item",
    "random": "expectation over random orders",
    "oracle": "knows all true tastes",
    "oracle_text": "knows what texts reveal of tastes",
}


def matrices(test_sets: Sequence[str]) -> dict[str, ScoreMatrix]:
    """Return test set -> scores of all methods."""
    paths = {which: Path(f"data/scores/set{which}.parquet") for which in test_sets}
    return {which: score_matrix(tables.read(path, SCORES)) for which, path in paths.items()}


def rows_of(view: View, records: pl.DataFrame) -> np.ndarray:
    """Return which records are in a view, as an array [R]."""
    target, core = records["target"].to_numpy(), records["core"].to_numpy()
    return np.asarray(((target == view.domain) | (view.domain == ALL)) & ((core == view.core) | (view.core == ALL)))


def means_by_set(scores: Mapping[str, ScoreMatrix], trained: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return test set -> means by stratum; those of the first set are the run's table."""
    p, seed = params.load(Evaluation, "evaluation"), params.load(int, "seed")
    means = {next(iter(scores)): trained}
    for which, matrix in list(scores.items())[1:]:
        means[which] = strata_means(matrix, resamples=p.resamples, min_users=p.min_users, seed=seed)
    return means


def compared_views(
    scores: Mapping[str, ScoreMatrix],
    trained: pl.DataFrame,
    domains: Sequence[str],
    bounds: Collection[str],
    answer_items: Mapping[str, int],
) -> dict[View, pl.DataFrame]:
    """Return the tests of all pairs of methods but the bounds in every view that has users; those of all users are the
    run's table."""
    compared = {}
    for view in views(list(scores), domains):
        part = _select(scores[view.test_set], view, bounds)
        if len(part.values):
            whole = view == View(next(iter(scores)))
            compared[view] = trained if whole else _pairs(part, answer_items)
    return compared


def _select(m: ScoreMatrix, view: View, bounds: Collection[str]) -> ScoreMatrix:
    """Return the records of a view, and the columns that are compared there."""
    kept = [k for k, column in enumerate(m.columns) if column.method not in bounds and column.metric in METRICS]
    compared = ScoreMatrix(m.records, tuple(m.columns[k] for k in kept), m.values[:, kept])
    return compared.select(rows_of(view, m.records))


def _pairs(m: ScoreMatrix, answer_items: Mapping[str, int]) -> pl.DataFrame:
    """Return all pairs of a view; none of them was declared, so the family is empty."""
    p, seed = params.load(Evaluation, "evaluation"), params.load(int, "seed")
    family = Family(kind=p.family.kind, metrics=p.family.metrics, pairs=[])
    return comparisons(
        m, family, answer_items=answer_items, resamples=p.resamples, permutations=p.permutations, seed=seed
    )


def listed_methods() -> list[Method]:
    """Return the methods that evaluation.methods lists, and all references, as charts draw them."""
    listed = [name for name in params.value(Evaluation, "evaluation.methods") if name != "references"]
    names = [*listed, *sorted(REFERENCES)]
    return methods(names, {name: _role(name) for name in names})


def drawn_methods(means: pl.DataFrame) -> list[Method]:
    """Return all methods of the run as charts draw them: those of evaluation.methods in its order, then references."""
    return in_order(means["method"].unique(), params.value(Evaluation, "evaluation.methods"))


def in_order(names: Iterable[str], listed: Sequence[str]) -> list[Method]:
    """Return methods as charts draw them, those listed first."""
    place = {name: k for k, name in enumerate(listed)}
    ordered = sorted(names, key=lambda name: (place.get(name, len(place)), name))
    return methods(ordered, {name: _role(name) for name in ordered})


def _role(name: str) -> Role:
    if name not in REFERENCES:
        return "learned"
    return "bound" if name in ORACLES else "baseline"


def screen_of_run(drawn: Sequence[Method], means: pl.DataFrame, compared: pl.DataFrame) -> dict[str, Any]:
    """Return the first screen of the run in this folder, from its tables and scores."""
    first, others = params.value(Data, "data.candidate_set"), params.value(Data, "data.test_sets")
    scores, domains = matrices([first, *(which for which in others if which != first)]), params.load(Domains, "domains")
    evaluation = params.load(Evaluation, "evaluation")
    items, bounds = _answer_items(first, drawn), {method.name for method in drawn if method.role == "bound"}
    targets = sorted(next(iter(scores.values())).records["target"].unique())
    declared = evaluation.family.metrics
    return first_screen(
        FirstScreen(
            drawn,
            means_by_set(scores, means),
            compared_views(scores, compared, targets, bounds, items),
            compared,
            domains.labels,
            items,
            _notes(drawn),
            MAIN_METRIC if MAIN_METRIC in declared else declared[0],
            evaluation.family.kind,
        )
    )


def _notes(drawn: Sequence[Method]) -> dict[str, str]:
    """Return method -> what it is, in a few words."""
    prompted, trained = params.load(Infer, "infer").methods, params.read()["idrec"]["methods"]
    notes = dict(REFERENCE_NOTES)
    for name in (method.name for method in drawn if method.role == "learned"):
        if name in prompted:
            method = prompted[name]
            model = "the base LLM as it comes" if method.model == "base" else "fine-tuned LLM"
            steps = "in LLM4CDR's three steps" if method.steps == "llm4cdr" else ""
            notes[name] = ", ".join(
                filter(None, [model, steps or ("thinks first" if method.thinking else "answers directly")])
            )
        elif name in trained:
            kind, history = trained[name]["model"]["kind"], trained[name]["history"]
            notes[name] = f"{kind} over item ids, {'both domains' if history == 'both' else 'target domain alone'}"
    return notes


def _answer_items(which: str, drawn: Sequence[Method]) -> dict[str, int]:
    """Return method -> items that its written answers were asked for."""
    paths = [Path(f"data/rankings/{method.name}/set{which}.parquet") for method in drawn]
    ranked = [tables.read(path, RANKINGS) for path in paths if path.exists()]  # references have none
    return requested_items(pl.concat([pl.DataFrame(schema=dict(RANKINGS.columns)), *ranked]))
