"""The sections of the report from the frames and metrics of a run: nothing is computed here, only laid out."""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from kitrec.report.charts import by_core, cost_and_quality, on_both_sets, right_by_confidence, within_rank
from kitrec.report.page import Section

SHOWN = ("hit@1", "hit@5", "hit@10", "mrr", "ndcg@10")


def headline(cells: pl.DataFrame) -> Section:
    """Means with intervals."""
    own = cells.filter(pl.col("stratum") == "all")
    n, users = own["n"].to_list()[0], own["users"].to_list()[0]
    text = (
        f"Means over {n} records of {users} users with 95 % BCa intervals by resampled users. Scored rankings order "
        "all candidates by likelihood, at the same depth for every method; written ones are what the texts say."
    )
    return Section("Headline", text, ["ranking", *SHOWN], _metric_rows(own, SHOWN))


def declared(comparisons: pl.DataFrame) -> Section:
    """The comparisons that were declared before."""
    own = comparisons.filter("declared").sort("method", "other", "metric")
    rows = [
        [
            f"{row['method']} – {row['other']}",
            row["metric"],
            f"{row['difference']:+.3f}",
            f"{row['low']:+.3f} … {row['high']:+.3f}",
            f"{row['p']:.2g}",
            f"{row['p_holm']:.2g} {row['stars']}",
            row["size"],
            "–" if row["mde"] is None else f"{row['mde']:.3f}",
        ]
        for row in own.iter_rows(named=True)
    ]
    columns = ["pair", "metric", "difference", "95 %", "p", "p (Holm)", "effect", "least detectable"]
    text = "Paired tests on the same users; p is corrected over all declared comparisons."
    return Section("Declared comparisons", text, columns, rows)


def cores(cells: pl.DataFrame) -> Section:
    """Where history is short."""
    text = "Hit@10 of scored rankings by target interactions, the held-out one included, with 95 % intervals."
    return Section("By history", text, chart=by_core(cells, "hit@10"))


def ranks(curves: pl.DataFrame) -> Section:
    """Where truths stand."""
    missing = curves.filter(kind="written").select("method", "missing").unique().sort("method")
    told = "; ".join(f"{method} {share:.3f}" for method, share in missing.iter_rows())
    text = "The share of records whose truth stands at a rank or further up; ties count by expectation."
    if told:
        text += f" A written list names few items, the others have no rank. Truths that were not named: {told}."
    return Section("Ranks of the truth", text, chart=within_rank(curves))


def both_sets(sets: pl.DataFrame) -> Section:
    """The same users with hard and with random candidates."""
    text = "The same users and truths; set A holds hard candidates, set B random ones. Means with 95 % intervals."
    return Section("Test sets", text, chart=on_both_sets(sets))


def confidence(calibration: pl.DataFrame) -> Section:
    """Whether what is stated can be believed."""
    text = "How often the item named first is the truth, by the confidence its answer states (1 to 10)."
    return Section("Confidence", text, chart=right_by_confidence(calibration) if calibration.height else None)


def strata(cells: pl.DataFrame) -> Section:
    """All cells, folded."""
    own = cells.filter((pl.col("stratum") != "all") & (pl.col("metric") == "mrr"))
    rows = [
        [
            f"{row['stratum']}: {row['member']}{' (few)' if row['few'] else ''}",
            f"{row['method']} ({row['kind']})",
            str(row["n"]),
            f"{row['mean']:.3f}",
            f"{row['low']:.3f} … {row['high']:.3f}",
        ]
        for row in own.iter_rows(named=True)
    ]
    return Section("Strata", "MRR in every stratum.", ["cell", "ranking", "n", "MRR", "95 %"], rows, folded=True)


def failures(answers: Mapping[str, Mapping[str, Any]], which: str) -> Section:
    """What went wrong in answering."""
    shares = ("invented_id_share", "cut_share", "thought_cut_share", "shortened_prompt_share")
    statuses = list(next(iter(answers.values()))[which]["status"]) if answers else []
    rows = [
        [method, *(f"{own[which]['status'][name]:.3f}" for name in statuses), *(f"{own[which][s]:.3f}" for s in shares)]
        for method, own in answers.items()
    ]
    columns = ["method", *(name.replace("_", " ") for name in statuses), *(s.replace("_", " ") for s in shares)]
    return Section("Failures", "Shares of answers; what cannot be read has a name.", columns, rows)


def costs(ledger: Mapping[str, Mapping[str, Any]]) -> Section:
    """What every stage took."""
    rows = [
        [stage, f"{own['seconds']:.1f}", f"{own['cpu_seconds']:.1f}", str(own["peak_memory_mib"]), _pace(own)]
        for stage, own in sorted(ledger.items(), key=lambda pair: -pair[1]["seconds"])
    ]
    columns = ["stage", "seconds", "CPU seconds", "peak MiB", "pace"]
    return Section("Costs", "What each stage took on the machine it ran on.", columns, rows)


def quality_against_cost(cells: pl.DataFrame, seconds_per_user: Mapping[str, float]) -> Section:
    """NDCG@10 over seconds per user, for methods whose inference was timed."""
    own = cells.filter((pl.col("stratum") == "all") & (pl.col("metric") == "ndcg@10") & (pl.col("kind") == "scored"))
    rows = [
        {"method": row["method"], "mean": row["mean"], "seconds_per_user": seconds_per_user[row["method"]]}
        for row in own.iter_rows(named=True)
        if row["method"] in seconds_per_user
    ]
    text = "NDCG@10 of the scored ranking against what answering and scoring one user took."
    return Section(
        "Quality against cost", text, chart=cost_and_quality(pl.DataFrame(rows), "NDCG@10") if rows else None
    )


def _teacher(pair: str, known: set[str]) -> str:
    """Of `<student>-<teacher>`, where both may have hyphens: the longest ending that is a method."""
    endings = [pair[k + 1 :] for k, sign in enumerate(pair) if sign == "-"]
    return next((own for own in endings if own in known), endings[0])


def students(
    cells: pl.DataFrame, compared: Mapping[str, Mapping[str, Any]], seconds_per_user: Mapping[str, float]
) -> Section:
    """What a teacher gave its students, and what they keep of its quality at which cost."""
    own = cells.filter((pl.col("stratum") == "all") & (pl.col("metric") == "ndcg@10") & (pl.col("kind") == "scored"))
    quality, columns = dict(own.select("method", "mean").iter_rows()), ["student", "alone", "taught", "gain", "p"]
    rows = []
    for pair, told in compared.items():
        if pair not in quality:
            continue
        teacher, found = _teacher(pair, {*quality, *seconds_per_user}), next(iter(told.values()))
        kept = f"{quality[pair] / quality[teacher]:.0%}" if quality.get(teacher) else "–"
        cheaper = seconds_per_user.get(teacher, 0.0) / seconds_per_user[pair]
        rows.append(
            [
                pair,
                f"{found['baseline']:.4f}",
                f"{found['distilled']:.4f}",
                "–" if found["relative_gain"] is None else f"{found['relative_gain']:+.1%}",
                f"{found['p_value']:.2g}",
                f"{quality[pair]:.3f}",
                kept,
                f"{cheaper:,.0f}" if cheaper else "–",
            ]
        )
    text = (
        "A student and its twin without a teacher, all seeds, among all items; then the first student among the "
        "candidates: NDCG@10, how much of its teacher's that is, and how many times less a user costs."
    )
    return Section("Students", text, [*columns, "NDCG@10", "of the teacher's", "times cheaper"], rows)


def _pace(own: Mapping[str, Any]) -> str:
    if "tokens_per_second" in own:
        return f"{own['tokens_per_second']} tokens/s"
    parts = [value for value in own.values() if isinstance(value, dict)]
    rates = [value["records_per_second"] for value in parts if "records_per_second" in value]
    return f"{rates[0]:.1f} records/s" if rates else ""


def _metric_rows(cells: pl.DataFrame, metrics: Iterable[str]) -> list[list[str]]:
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in cells.sort("kind", "method").iter_rows(named=True):
        text = f"{row['mean']:.3f} ({row['low']:.3f}–{row['high']:.3f})"
        found.setdefault((row["method"], row["kind"]), {})[row["metric"]] = text
    return [[f"{method} ({kind})", *(own[metric] for metric in metrics)] for (method, kind), own in found.items()]
