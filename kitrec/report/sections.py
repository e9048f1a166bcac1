"""Report sections on quality, from the tables and metrics of a run; nothing is computed here."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from kitrec.core.mean_tests import CROSSED_TEST, ONE_TRAINING, PERMUTATION_TEST
from kitrec.report.charts import hit_rate_chart, sets_chart
from kitrec.report.first_screen import METRICS, TITLES
from kitrec.report.page import Section
from kitrec.report.palette import Method


def headline(means: pl.DataFrame, answers: Mapping[str, Mapping[str, Any]], which: str) -> Section:
    """Return means with intervals, and with the number of items that written answers were asked for."""
    overall = means.filter(pl.col("stratum") == "all")
    n, users = overall["n"].to_list()[0], overall["users"].to_list()[0]
    text = (
        f"Means over {n} records of {users} users with 95 % BCa intervals by resampled users. Scored rankings order "
        "all candidates by likelihood, at the same depth for every method; written ones are parsed from the answers. "
        f"{ONE_TRAINING}"
    )
    requested = {method: sets[which]["answer_items"] for method, sets in answers.items()}
    if len(set(requested.values())) > 1:
        text += " Written rankings of different numbers of items compare in Hit@1 alone."
    titles, rows = [TITLES[name] for name in METRICS], _metric_rows(overall, METRICS, requested)
    return Section("All means", text, ["ranking", *titles], rows, collapsed=True)


def warnings(answers: Mapping[str, Mapping[str, Any]], which: str) -> list[Section]:
    """Return the warnings of answers cut at a limit, if there are any."""
    rows = [[method, warning] for method, sets in answers.items() for warning in sets[which]["warnings"]]
    text = "Results of these methods are lower than they would be without the limit."
    return [Section("Warnings", text, ["method", "warning"], rows)] if rows else []


def trainings(repeats: Mapping[str, Any]) -> Section:
    """Return the declared comparisons over several trainings, from metrics/repeats.json."""
    rows = [
        [
            f"{row['method']} – {row['other']}",
            row["metric"],
            f"{row['difference']:+.3f}",
            f"{row['sd_trainings']:.4f}",
            f"{row['low']:+.3f} … {row['high']:+.3f}",
            f"{row['p_permutation']:.2g}",
            f"{row['low_both']:+.3f} … {row['high_both']:+.3f}",
            f"{row['p_users_and_trainings']:.2g}",
            f"{row['p_holm']:.2g}",
        ]
        for row in repeats["comparisons"]
    ]
    columns = ["pair", "metric", "difference", "sd of trainings", "95 % CI (users)", "p (users)", "95 % CI (both)"]
    text = (
        f"Seeds {', '.join(map(str, repeats['seeds']))}, set {repeats['set']}, {repeats['users']} users. "
        f"Of users alone: {PERMUTATION_TEST}, what these trainings are worth. Both: {CROSSED_TEST}, what the methods "
        "are worth, corrected by Holm over all declared comparisons."
    )
    return Section("Several trainings", text, [*columns, "p (both)", "p (both, Holm)"], rows)


def hit_rates(drawn: Sequence[Method], curves: pl.DataFrame) -> Section:
    """Return the hit rate at every rank, a panel per kind of ranking."""
    missing = curves.filter(kind="written").select("method", "missing").unique().sort("method")
    listed = "; ".join(f"{method} {share:.3f}" for method, share in missing.iter_rows())
    text = "The share of records whose held-out item has a rank or a better one; ties count by expectation."
    if listed:
        text += f" Written lists are short, other items have no rank. Share of held-out items not named: {listed}."
    rising = pl.col("hit_rate").n_unique().over("method", "kind") > 1  # lists of one item have no curve
    by_kind = curves.filter(rising.any().over("kind")).sort("kind").group_by("kind", maintain_order=True)
    panels = {f"{kind} rankings": hit_rate_chart(drawn, part) for (kind,), part in by_kind}
    return Section("Hit rate by rank", text, panels=panels)


def set_comparison(drawn: Sequence[Method], sets: pl.DataFrame) -> Section:
    """Return means of the same users with hard and with random candidates, a panel per metric."""
    text = "The same users and held-out items; set A has hard candidates, set B random ones. Means with 95 % intervals."
    by_metric = sets.sort("metric").group_by("metric", maintain_order=True)
    panels = {TITLES[metric]: sets_chart(drawn, part, TITLES[metric]) for (metric,), part in by_metric}
    return Section("Test sets", text, panels=panels)


def failures(answers: Mapping[str, Mapping[str, Any]], which: str) -> Section:
    """Return the shares of failures in answers."""
    shares = ("invented_id_share", "cut_share", "thought_cut_share", "shortened_prompt_share")
    statuses = list(next(iter(answers.values()))[which]["status"]) if answers else []
    rows = [
        [method, *(f"{sets[which]['status'][s]:.3f}" for s in statuses), *(f"{sets[which][s]:.3f}" for s in shares)]
        for method, sets in answers.items()
    ]
    columns = ["method", *(name.replace("_", " ") for name in statuses), *(s.replace("_", " ") for s in shares)]
    return Section("Failures", "Shares of answers by parse status, and of other failures.", columns, rows)


def _metric_rows(means: pl.DataFrame, metrics: Iterable[str], requested: Mapping[str, int]) -> list[list[str]]:
    by_ranking: dict[tuple[str, str], dict[str, str]] = {}
    for row in means.sort("kind", "method").iter_rows(named=True):
        text = f"{row['mean']:.3f} ({row['low']:.3f}–{row['high']:.3f})"
        by_ranking.setdefault((row["method"], row["kind"]), {})[row["metric"]] = text

    def name(method: str, kind: str) -> str:
        items = requested.get(method) if kind == "written" else None
        return f"{method} ({kind}, {items} item{'s' * (items > 1)})" if items else f"{method} ({kind})"

    return [[name(*ranking), *(values[metric] for metric in metrics)] for ranking, values in by_ranking.items()]
