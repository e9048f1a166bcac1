"""Headline tables for papers in Markdown and LaTeX: methods by metrics, the best in bold, significance stars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from kitrec.core.errors import InputError
from kitrec.core.mean_tests import ONE_TRAINING, PERMUTATION_TEST

_LATEX = str.maketrans(
    {
        **{letter: f"\\{letter}" for letter in "_%&#${}"},
        **{letter: f"${letter}$" for letter in "<>|"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
)


@dataclass(frozen=True)
class Value:
    """A mean and its marks."""

    mean: float
    best: bool
    stars: str


@dataclass(frozen=True)
class PaperTable:
    """Methods in rows, metrics in columns, and a caption that explains the marks."""

    caption: str
    metrics: Sequence[str]
    rows: dict[str, list[Value]]


def paper_table(
    strata_means: pl.DataFrame,
    comparisons: pl.DataFrame,
    kind: str,
    metrics: Sequence[str],
    reference: str,
    answer_items: Mapping[str, int],
    *,
    note: str = "",
) -> PaperTable:
    """Return the table of one kind of ranking; stars mark declared comparisons of `reference` with a method.

    `answer_items` is the number of items that each written method was asked for; a `note` ends the caption."""
    overall = strata_means.filter(
        (pl.col("stratum") == "all") & (pl.col("kind") == kind) & pl.col("metric").is_in(metrics)
    )
    if overall.is_empty():
        raise InputError(f"there is no {kind} ranking in data/analysis: run `dvc repro analyse`")
    means = {(row["method"], row["metric"]): row["mean"] for row in overall.iter_rows(named=True)}
    best = {metric: max(mean for (_, name), mean in means.items() if name == metric) for metric in metrics}
    declared = comparisons.filter(pl.col("declared") & (pl.col("kind") == kind))
    stars = {}
    for row in declared.filter((pl.col("method") == reference) | (pl.col("other") == reference)).iter_rows(named=True):
        stars[row["other"] if row["method"] == reference else row["method"], row["metric"]] = row["stars"]
    methods = overall["method"].unique().sort().to_list()
    if reference not in methods:
        raise InputError(f"{reference} has no {kind} ranking; there are {', '.join(methods)}: name one by --reference")
    rows = {
        method: [
            Value(means[method, metric], means[method, metric] == best[metric], stars.get((method, metric), ""))
            for metric in metrics
        ]
        for method in methods
    }
    caption = f"Means over n = {overall['n'][0]} records, {kind} rankings; the best of a column is bold. {ONE_TRAINING}"
    if stars:
        caption += (
            f" Stars: {reference} differs from the method (* p < .05, ** p < .01, *** p < .001; {PERMUTATION_TEST}, "
            f"corrected by Holm over {declared.height} declared comparisons)."
        )
    requested = {method: answer_items[method] for method in methods if kind == "written" and method in answer_items}
    if len(set(requested.values())) > 1:
        listed = ", ".join(f"{method} {items}" for method, items in requested.items())
        caption += f" Items that an answer was asked for: {listed}; different numbers compare in hit@1 alone."
    return PaperTable(f"{caption} {note}".rstrip(), metrics, rows)


def markdown(table: PaperTable) -> str:
    """Return the table in Markdown."""

    def cell(value: Value) -> str:
        number = f"{value.mean:.3f}"
        return (f"**{number}**" if value.best else number) + value.stars.replace("*", r"\*")

    lines = [f"| method | {' | '.join(table.metrics)} |", f"|---|{'---|' * len(table.metrics)}"]
    lines += [f"| {method} | {' | '.join(map(cell, values))} |" for method, values in table.rows.items()]
    return "\n".join([*lines, "", table.caption, ""])


def latex(table: PaperTable) -> str:
    """Return the table in LaTeX with booktabs."""

    def cell(value: Value) -> str:
        number = f"{value.mean:.3f}"
        return (rf"\textbf{{{number}}}" if value.best else number) + (f"$^{{{value.stars}}}$" if value.stars else "")

    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_escaped(table.caption)}}}",
        rf"  \begin{{tabular}}{{l{'r' * len(table.metrics)}}}",
        r"    \toprule",
        rf"    method & {' & '.join(map(_escaped, table.metrics))} \\",
        r"    \midrule",
        *(rf"    {_escaped(method)} & {' & '.join(map(cell, values))} \\" for method, values in table.rows.items()),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return text.translate(_LATEX)
