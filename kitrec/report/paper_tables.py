"""Headline tables for papers in Markdown and LaTeX: methods by metrics, the best learned in bold, significance stars.

Stars have a direction: ↑ a method above the one that it is compared with, ↓ one below it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from kitrec.core.errors import InputError
from kitrec.core.mean_tests import ONE_TRAINING, PERMUTATION_TEST

REFERENCES = frozenset({"oracle", "oracle_text", "popularity", "random"})  # learn nothing, or know the world
UP, DOWN = "↑", "↓"
_LATEX = str.maketrans(
    {
        **{letter: f"\\{letter}" for letter in "_%&#${}"},
        **{letter: f"${letter}$" for letter in "<>|"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        UP: r"$\uparrow$",
        DOWN: r"$\downarrow$",
        "^": r"\textasciicircum{}",
    }
)


@dataclass(frozen=True)
class Value:
    """A mean and its marks."""

    mean: float
    best: bool
    stars: str  # with ↑ or ↓ behind them, or nothing


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
    """Return the table of one kind of ranking; stars mark declared comparisons of a method with `reference`.

    `answer_items` is the number of items that each written method was asked for; a `note` ends the caption."""
    overall = strata_means.filter(
        (pl.col("stratum") == "all") & (pl.col("kind") == kind) & pl.col("metric").is_in(metrics)
    )
    if overall.is_empty():
        raise InputError(f"there is no {kind} ranking in data/analysis: run `dvc repro analyse`")
    means = {(row["method"], row["metric"]): row["mean"] for row in overall.iter_rows(named=True)}
    bold = {
        (method, metric)
        for metric in metrics
        for method in best_learned({name: mean for (name, each), mean in means.items() if each == metric})
    }
    declared = comparisons.filter(pl.col("declared") & (pl.col("kind") == kind))
    stars = _stars(declared, means, reference)
    methods = overall["method"].unique().sort().to_list()
    if reference not in methods:
        raise InputError(f"{reference} has no {kind} ranking; there are {', '.join(methods)}: name one by --reference")
    rows = {
        method: [
            Value(means[method, metric], (method, metric) in bold, stars.get((method, metric), ""))
            for metric in metrics
        ]
        for method in methods
    }
    caption = (
        f"Means over {overall['n'][0]} records of {overall['users'][0]} users, {kind} rankings; the best learned "
        f"method of a column is bold. {ONE_TRAINING}"
    )
    if stars:
        caption += (
            f" Stars: the method is above ({UP}) or below ({DOWN}) {reference} (* p < .05, ** p < .01, *** p < .001; "
            f"{PERMUTATION_TEST}, corrected by Holm over {declared.height} declared comparisons)."
        )
    requested = {method: answer_items[method] for method in methods if kind == "written" and method in answer_items}
    if len(set(requested.values())) > 1:
        listed = ", ".join(f"{method} {items}" for method, items in requested.items())
        caption += f" Items that an answer was asked for: {listed}; different numbers compare in hit@1 alone."
    return PaperTable(f"{caption} {note}".rstrip(), metrics, rows)


def _stars(
    declared: pl.DataFrame, means: Mapping[tuple[str, str], float], reference: str
) -> dict[tuple[str, str], str]:
    """Return the stars of a method and metric: with ↑ where the method is above `reference`, with ↓ below it."""
    stars = {}
    for row in declared.filter((pl.col("method") == reference) | (pl.col("other") == reference)).iter_rows(named=True):
        method, metric = row["other"] if row["method"] == reference else row["method"], row["metric"]
        if {(method, metric), (reference, metric)} <= means.keys():
            arrow = UP if means[method, metric] > means[reference, metric] else DOWN
            stars[method, metric] = row["stars"] + arrow if row["stars"] else ""
    return stars


def best_learned(means: Mapping[str, float]) -> set[str]:
    """Return the learned methods with the highest mean; a reference such as the oracle is never among them."""
    learned = {method: mean for method, mean in means.items() if method not in REFERENCES}
    return {method for method, mean in learned.items() if mean == max(learned.values())}


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
        stars = value.stars.replace(UP, r"\uparrow").replace(DOWN, r"\downarrow")
        return (rf"\textbf{{{number}}}" if value.best else number) + (f"$^{{{stars}}}$" if stars else "")

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
