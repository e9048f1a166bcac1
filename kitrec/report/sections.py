"""Report sections on quality, from the tables and metrics of a run; nothing is computed here."""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from kitrec.core.mean_tests import CROSSED_TEST, ONE_TRAINING, PERMUTATION_TEST
from kitrec.report.charts import calibration_chart, core_chart, hit_rate_chart, sets_chart
from kitrec.report.page import Section

SHOWN = ("hit@1", "hit@5", "hit@10", "mrr", "ndcg@10")


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
    return Section("Headline", text, ["ranking", *SHOWN], _metric_rows(overall, SHOWN, requested))


def warnings(answers: Mapping[str, Mapping[str, Any]], which: str) -> list[Section]:
    """Return the warnings of answers cut at a limit, if there are any."""
    rows = [[method, warning] for method, sets in answers.items() for warning in sets[which]["warnings"]]
    text = "Results of these methods are lower than they would be without the limit."
    return [Section("Warnings", text, ["method", "warning"], rows)] if rows else []


def declared_comparisons(comparisons: pl.DataFrame) -> Section:
    """Return the comparisons declared beforehand."""
    declared = comparisons.filter("declared").sort("method", "other", "metric")
    rows = [
        [
            f"{row['method']} – {row['other']}",
            row["metric"],
            f"{row['difference']:+.3f}",
            f"{row['low']:+.3f} … {row['high']:+.3f}",
            f"{row['p_permutation']:.2g}",
            f"{row['p_holm']:.2g} {row['stars']}",
            f"{row['p_wilcoxon']:.2g}",
            row["size"],
            "–" if row["mde"] is None else f"{row['mde']:.3f}",
        ]
        for row in declared.iter_rows(named=True)
    ]
    columns = [
        "pair",
        "metric",
        "difference",
        "95 % CI",
        "p",
        "p (Holm)",
        "p (Wilcoxon)",
        "effect size",
        "min. detectable",
    ]
    text = (
        f"Differences of means on the same users; p: {PERMUTATION_TEST}, corrected by Holm over all declared "
        f"comparisons. Wilcoxon's p is of signed ranks, not of means. {ONE_TRAINING}"
    )
    return Section("Declared comparisons", text, columns, rows)


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


def by_core(means: pl.DataFrame) -> Section:
    """Return Hit@10 by the length of the target history."""
    text = "Hit@10 of scored rankings by target interactions, the held-out one included, with 95 % intervals."
    return Section("By history", text, chart=core_chart(means, "hit@10"))


def hit_rates(curves: pl.DataFrame) -> Section:
    """Return the hit rate at every rank."""
    missing = curves.filter(kind="written").select("method", "missing").unique().sort("method")
    listed = "; ".join(f"{method} {share:.3f}" for method, share in missing.iter_rows())
    text = "The share of records whose held-out item has a rank or a better one; ties count by expectation."
    if listed:
        text += f" Written lists are short, other items have no rank. Share of held-out items not named: {listed}."
    return Section("Hit rate by rank", text, chart=hit_rate_chart(curves))


def set_comparison(sets: pl.DataFrame) -> Section:
    """Return means of the same users with hard and with random candidates."""
    text = "The same users and held-out items; set A has hard candidates, set B random ones. Means with 95 % intervals."
    return Section("Test sets", text, chart=sets_chart(sets))


def calibration(curve: pl.DataFrame) -> Section:
    """Return accuracy by stated confidence."""
    text = "The share of answers whose first item is the held-out one, by stated confidence (1 to 10)."
    return Section("Confidence", text, chart=calibration_chart(curve) if curve.height else None)


def strata(means: pl.DataFrame) -> Section:
    """Return MRR in all strata, collapsed."""
    by_stratum = means.filter((pl.col("stratum") != "all") & (pl.col("metric") == "mrr"))
    rows = [
        [
            f"{row['stratum']}: {row['member']}{' (few)' if row['few'] else ''}",
            f"{row['method']} ({row['kind']})",
            str(row["n"]),
            f"{row['mean']:.3f}",
            f"{row['low']:.3f} … {row['high']:.3f}",
        ]
        for row in by_stratum.iter_rows(named=True)
    ]
    return Section(
        "Strata", "MRR in every stratum.", ["stratum", "ranking", "n", "MRR", "95 % CI"], rows, collapsed=True
    )


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
