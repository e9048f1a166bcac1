"""Report sections on the research questions: each a question, a picture, a sentence, and the test behind it."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from kitrec.core.mean_tests import ONE_TRAINING, PERMUTATION_TEST
from kitrec.report.charts import ablation_chart, differences_chart, filled_history_chart
from kitrec.report.first_screen import TITLES
from kitrec.report.page import Section
from kitrec.report.palette import Method
from kitrec.report.verdicts import Difference, holm, listed, p

ROLES_OF_2X2 = (("fine-tuned", "thinks first"), ("fine-tuned", "direct"), ("base", "thinks first"), ("base", "direct"))


def ablation_question(
    effects: Mapping[str, Mapping[str, Mapping[str, Any]]], methods: Sequence[str], kind: str, means: pl.DataFrame
) -> Section:
    """Return RQ1: main effects and interaction of the 2x2, or why there is none."""
    title, question = (
        "RQ1 Fine-tuning and thinking",
        "Does fine-tuning help, does thinking first, or only both together?",
    )
    if not effects:
        finding = "Not tested in this run: it declares no 2×2 of fine-tuned or base model, thinking first or not."
        text = "evaluation.ablation.methods is empty; the profile variants=all_methods declares the four methods."
        return Section(title, text, question=question, finding=finding)
    corrected = iter(holm([row["p_permutation"] for by_name in effects.values() for row in by_name.values()]))
    tested = [
        (metric, Difference(name, "none", row["difference"], row["low"], row["high"], next(corrected), row["n"]))
        for metric, by_name in effects.items()
        for name, row in by_name.items()
    ]
    metric = list(effects)[-1]
    sentences = [_effect(each) for name, each in tested if name == metric]
    overall = means.filter(stratum="all", metric=metric, kind=kind)
    rows = pl.DataFrame(
        [
            {"method": name, "model": model, "answer": answer, **overall.filter(method=name).row(0, named=True)}
            for name, (model, answer) in zip(methods, ROLES_OF_2X2, strict=True)
        ]
    )
    text = (
        f"Contrasts of four methods on the same users; p: {PERMUTATION_TEST}, corrected by Holm over all {len(tested)} "
        f"effects. Intervals of contrasts: BCa by resampled users. {ONE_TRAINING}"
    )
    table = [
        [TITLES[name], each.method, f"{each.value:+.3f}", f"{each.low:+.3f} … {each.high:+.3f}", f"{each.p:.2g}"]
        for name, each in tested
    ]
    columns = ["metric", "effect", "size", "95 % CI", "p (Holm)"]
    chart = ablation_chart(rows, TITLES[metric])
    return Section(
        title, text, columns, table, chart, question=question, finding=f"{TITLES[metric]}: {listed(sentences)}."
    )


def _effect(effect: Difference) -> str:
    """Return what the test supports of an effect."""
    size = f"{effect.value:+.3f} [{effect.low:+.3f}, {effect.high:+.3f}], {p(effect.p)}"
    words = {"ahead": "raises", "behind": "lowers", "not distinguishable": "has no distinguishable effect on"}
    if effect.method == "interaction":
        kind = "no distinguishable interaction" if effect.verdict == "not distinguishable" else "an interaction"
        return f"there is {kind} ({size})"
    return f"{effect.method} {words[effect.verdict]} the mean ({size}, n = {effect.n} users)"


def declared_question(comparisons: pl.DataFrame) -> Section:
    """Return RQ2: the comparisons declared beforehand."""
    declared = comparisons.filter("declared").sort("method", "other", "metric", maintain_order=True)
    tested = [(row, _difference(row)) for row in declared.iter_rows(named=True)]
    rows = [
        [
            f"{row['method']} – {row['other']}",
            TITLES.get(row["metric"], row["metric"]),
            each.verdict,
            f"{row['difference']:+.3f}",
            f"{row['low']:+.3f} … {row['high']:+.3f}",
            f"{row['p_permutation']:.2g}",
            f"{row['p_holm']:.2g} {row['stars']}",
            f"{row['p_wilcoxon']:.2g}",
            row["size"],
            "–" if row["mde"] is None else f"{row['mde']:.3f}",
        ]
        for row, each in tested
    ]
    columns = ["pair", "metric", "verdict", "difference", "95 % CI", "p", "p (Holm)", "p (Wilcoxon)", "effect size"]
    question = "Which method ranks the held-out item better, for the same users and candidates?"
    if not rows:
        return Section("RQ2 Declared comparisons", "", question=question, finding="This run declares no comparison.")
    text = (
        f"Differences of means on the same users; p: {PERMUTATION_TEST}, corrected by Holm over all {len(rows)} "
        f"declared comparisons. Wilcoxon's p is of signed ranks, not of means. {ONE_TRAINING}"
    )
    points = [
        {"group": f"{row['method']} – {row['other']}", "metric": TITLES.get(row["metric"], row["metric"]),
         "difference": each.value, "low": each.low, "high": each.high, "p": p(each.p), "verdict": each.verdict}
        for row, each in tested
    ]  # fmt: skip
    chart = differences_chart(pl.DataFrame(points))
    finding = _patterns([(row["metric"], each) for row, each in tested])
    columns = [*columns, "min. detectable"]
    return Section("RQ2 Declared comparisons", text, columns, rows, chart, question=question, finding=finding)


def _difference(row: Mapping[str, Any]) -> Difference:
    numbers = (row[name] for name in ("difference", "low", "high", "p_holm", "n"))
    return Difference(row["method"], row["other"], *numbers)


def _patterns(tested: Sequence[tuple[str, Difference]]) -> str:
    """Return, for every pair, in which metrics it is ahead, behind or neither; pairs of one pattern share a clause."""
    of_pair: dict[tuple[str, str], dict[str, list[str]]] = {}
    for metric, each in tested:
        verdicts = of_pair.setdefault((each.method, each.other), {})
        verdicts.setdefault(each.verdict, []).append(TITLES.get(metric, metric))
    patterns: dict[tuple[str, str], list[str]] = {}
    for (method, other), verdicts in of_pair.items():
        said = ", ".join(f"{verdict} in {listed(metrics)}" for verdict, metrics in verdicts.items())
        patterns.setdefault((method, said), []).append(other)
    clauses = [f"{method} against {listed(others)}: {said}" for (method, said), others in patterns.items()]
    sizes = sorted({each.n for _, each in tested})
    return f"{'; '.join(clauses)} (n = {', '.join(map(str, sizes))} users)."


def history_question(
    drawn: Sequence[Method], means: pl.DataFrame, screen: Mapping[str, Any], metric: str, labels: Mapping[str, str]
) -> Section:
    """Return RQ3: a metric by the length of the target history, a panel per domain, and the best methods of each."""
    chosen = means.filter(stratum="domain_core", metric=metric, kind="scored")
    parts = pl.col("member").str.split(" ").list
    rows = chosen.select("method", "mean", "low", "high", "n", domain=parts.get(0), core=parts.get(1))
    panels = {
        labels[domain]: filled_history_chart(drawn, TITLES[metric], part.drop("domain"))
        for (domain,), part in rows.sort("domain").group_by("domain", maintain_order=True)
    }
    first = screen["sets"][0][0]
    whole = screen["domains"][0][0]
    answers = {core: screen["views"].get(f"{first}|{whole}|{core}") for core in ("1", "10+")}
    ends = {"1": "With a single target interaction, the held-out one", "10+": "With ten and more"}
    finding = " ".join(
        f"{ends[core]}: {view['answers']['scored'][metric]['sentences'][0]}" for core, view in answers.items() if view
    )
    text = (
        f"{TITLES[metric]} of scored rankings by target interactions, the held-out one included. In the table the "
        f"best learned method of a stratum against the next one; p: {PERMUTATION_TEST}, corrected by Holm over the "
        "pairs of the stratum, not over strata."
    )
    question = "How does quality change with the length of the target history, down to users who have none?"
    table = [
        [labels.get(domain, "all"), core, str(view["n"]), *_stratum(view, metric)]
        for domain, _ in screen["domains"]
        for core in screen["cores"]
        if core != "all" and (view := screen["views"].get(f"{first}|{domain}|{core}"))
    ]
    columns = ["domain", "target history", "n", "best learned", TITLES[metric], "what the test supports"]
    title = "RQ3 By target history"
    return Section(title, text, columns, table, panels=panels, question=question, finding=finding, collapsed=True)


def _stratum(view: Mapping[str, Any], metric: str) -> list[str]:
    answer = view["answers"]["scored"][metric]
    if answer["best"] is None:
        return ["–", "–", answer["sentences"][0]]
    mean = view["means"]["scored"][answer["best"]][metric][0]
    return [answer["best"], f"{mean:.3f}", answer["claim"] or "–"]
