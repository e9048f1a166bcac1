"""`kitrec report A B`: the page of two runs and their differences, from git and DVC's cache; nothing is checked out."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from kitrec.cli import paired_views
from kitrec.cli import runs as named
from kitrec.cli.paired_views import Sides
from kitrec.cli.report_views import MAIN_METRIC, REFERENCE_NOTES, in_order
from kitrec.cli.run_record import open_run, run_record
from kitrec.core import files, params
from kitrec.core.errors import InputError
from kitrec.core.mean_tests import ONE_TRAINING, PERMUTATION_TEST
from kitrec.evaluation.params import Evaluation
from kitrec.evaluation.score_matrix import Column, score_matrix
from kitrec.report import difference_sections as sections
from kitrec.report.charts import history_chart
from kitrec.report.differences_screen import DifferencesScreen, differences_screen
from kitrec.report.first_screen import METRICS, View
from kitrec.report.page import COMPARISON, Report, page
from kitrec.report.run_differences import Pairing, Runs

PAGE = Path("report/comparison.html")
METHOD_NOTE = (
    f"Differences: BCa interval by resampled users; p: {PERMUTATION_TEST}, corrected by Holm over the rankings of a "
    "view. Upper bounds are not tested, nor rankings with the same scores in both runs. "
    f"{ONE_TRAINING} kitrec compare takes several trainings of each run."
)
Record = Mapping[str, Any]


def write_comparison(first: str, second: str) -> None:
    """Write report/comparison.html: the second run minus the first."""
    names = (first, second)
    records = (run_record(open_run(first)), run_record(open_run(second)))
    runs = (_label(first), _label(second))
    scores = {which: _scores(names, which) for which in _shared_sets(runs, records)}
    screen = _screen(names, records, scores)
    metrics = params.load(Evaluation, "evaluation").family.metrics
    parts = [
        sections.differences_section(screen, [name for name in METRICS if name in metrics]),
        sections.history_section(screen),
        sections.params_section(runs, records),
        sections.code_section(runs, records),
        sections.records_section(screen),
        *sections.single_run_section(_means_of_one_run(runs, scores), METRICS),
    ]
    facts = {
        f"{place}: {run}": _facts(record) for place, run, record in zip(("first", "second"), runs, records, strict=True)
    }
    chart = history_chart(screen.methods, "difference of METRIC", about_zero=True)
    title = f"What differs between {runs[0]} and {runs[1]}?"
    content = Report(title, facts, parts, differences_screen(screen), chart, METHOD_NOTE, layout=COMPARISON)
    with files.atomic(PAGE) as draft:
        draft.write_text(page(content), encoding="utf-8")
    print(PAGE)


def _label(name: str) -> str:
    """Return what the page calls a run: of a whole hash the beginning."""
    return name[:7] if re.fullmatch("[0-9a-f]{40}", name) else name


def _shared_sets(runs: Runs, records: tuple[Record, Record]) -> list[str]:
    """Return the test sets of both runs, that of the second run's training first."""
    sets = [record["params"]["values"].get("data.test_sets", []) for record in records]
    shared = [which for which in sets[1] if which in sets[0]]
    if not shared:
        tested = " and ".join(f"{run} on {', '.join(each)}" for run, each in zip(runs, sets, strict=True))
        raise InputError(f"the runs have no test set in common, {tested}: run both with one `data.test_sets`")
    chosen = records[1]["params"]["values"].get("data.candidate_set")
    return sorted(shared, key=lambda which: which != chosen)


def _scores(names: Runs, which: str) -> Sides:
    first, second = (score_matrix(named.scores(name, which)) for name in names)
    return first, second


def _screen(names: Runs, records: tuple[Record, Record], scores: Mapping[str, Sides]) -> DifferencesScreen:
    evaluation, seed = params.load(Evaluation, "evaluation"), params.load(int, "seed")
    drawn = {"resamples": evaluation.resamples, "permutations": evaluation.permutations, "seed": seed}
    tested, pairings = dict[View, pl.DataFrame](), dict[str, Pairing]()
    for which, sides in scores.items():
        pairings[which], pair = paired_views.pair(names, which, sides)
        of_set = (
            paired_views.untested_views(which, sides) if pair is None else paired_views.tested_views(which, pair, drawn)
        )
        tested |= of_set
    methods = {column.method for sides in scores.values() for side in sides for column in side.columns}
    values = [record["params"]["values"] for record in records[::-1]]
    listed = dict.fromkeys(name for each in values for name in each.get("evaluation.methods", []))
    prefix, metrics = "domains.labels.", evaluation.family.metrics
    runs, pairs = (_label(names[0]), _label(names[1])), list(scores.values())
    return DifferencesScreen(
        runs=runs,
        methods=in_order(methods, list(listed)),
        tables=tested,
        pairings=pairings,
        alone={run: _alone(sides) for run, sides in ((runs[0], pairs), (runs[1], [pair[::-1] for pair in pairs]))},
        labels={key.removeprefix(prefix): value for key, value in values[0].items() if key.startswith(prefix)},
        answer_items={name: _answer_items(records, name, next(iter(scores))) for name in methods},
        notes=REFERENCE_NOTES,
        metric=MAIN_METRIC if MAIN_METRIC in metrics else metrics[0],
        kind=evaluation.family.kind,
        min_users=evaluation.min_users,
    )


def _means_of_one_run(runs: Runs, scores: Mapping[str, Sides]) -> list[list[str]]:
    """Return run, set, method, kind and means of the rankings that one run has and the other has not."""
    rows = []
    for which, sides in scores.items():
        for run, side, other in zip(runs, sides, sides[::-1], strict=True):
            missing = dict.fromkeys((c.method, c.kind) for c in side.columns if c not in other.columns)
            for method, kind in missing:
                means = paired_views.means(side, [Column(method, kind, metric) for metric in METRICS])
                rows.append([run, which, method, kind, *(f"{mean:.3f}" for mean in means)])
    return rows


def _alone(pairs: Sequence[Sides]) -> list[str]:
    """Return the methods that the first runs of these pairs have rankings of, and the second ones have none of."""
    first, second = ({column.method for pair in pairs for column in pair[k].columns} for k in (0, 1))
    return sorted(first - second)


def _answer_items(records: tuple[Record, Record], method: str, which: str) -> tuple[int | None, int | None]:
    """Return the number of items that a method's answers were asked for in either run, where it writes any."""
    statistics = [record["results"].get(f"metrics/answers/{method}.json", {}) for record in records]
    first, second = (each.get(f"set{which}", {}).get("answer_items") for each in statistics)
    return first, second


def _facts(record: Record) -> str:
    """Return commit, machine and versions of a run."""
    commit = record["commit"]["revision"] + (" with changes" if record["commit"]["dirty"] else "")
    parts = [f"{key} {value}" for name in ("hardware", "software") for each in record[name][:1]
             for key, value in each.items() if key != "stages"]  # fmt: skip
    return ", ".join([f"commit {commit}", *parts])
