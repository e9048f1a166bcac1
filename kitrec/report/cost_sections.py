"""Report sections on costs: quality against cost, and students, from the cost ledgers of stages."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from kitrec.core.mean_tests import CROSSED_TEST, PERMUTATION_TEST
from kitrec.report.page import Section
from kitrec.report.palette import Method
from kitrec.report.run_charts import quality_cost_chart

Ledgers = Mapping[str, Mapping[str, Any]]
METHOD_NAMES = {  # inference stage -> name of its method
    "infer_vllm": "{}",
    "score_candidates": "{}",
    "infer_idrec": "{}",
    "infer_teacher": "ilora-{}",
    "infer_thinkrec": "thinkrec-{}",
    "rank_teacher": "{}",
    "rank_baseline": "{}-baseline",
}


def inference_seconds(ledgers: Ledgers, times: Ledgers, which: str, users: int) -> dict[str, float]:
    """Return method -> inference seconds per user of a test set; resumed stages are skipped, their time is partial.

    Students are timed at their largest batch, served by ONNX."""
    seconds: dict[str, float] = {}
    for ledger, cost in ledgers.items():
        stage, _, item = ledger.partition("-")
        if stage in METHOD_NAMES and which in cost and not cost["resumed"]:
            method = METHOD_NAMES[stage].format(item)
            seconds[method] = seconds.get(method, 0.0) + cost[which]["seconds"] / users
    for pair, timing in times.items():
        seconds[pair] = 1 / timing["student_latency"][-1]["users_per_second"]
    return seconds


def quality_against_cost(
    drawn: Sequence[Method], means: pl.DataFrame, seconds_per_user: Mapping[str, float]
) -> Section:
    """Return NDCG@10 over seconds per user, for methods whose inference was timed."""
    question, title = "What does a better ranking cost per user?", "Quality against cost"
    overall = means.filter(stratum="all", metric="ndcg@10", kind="scored")
    rows = [
        {"method": row["method"], "mean": row["mean"], "seconds_per_user": seconds_per_user[row["method"]]}
        for row in overall.iter_rows(named=True)
        if row["method"] in seconds_per_user
    ]
    if not rows:
        finding = "No inference of this run was timed as a whole: stages that were resumed know only their last part."
        return Section(title, "", question=question, finding=finding)
    text = (
        "NDCG@10 of scored rankings against inference time on the machine of this run; on others the order may change."
    )
    table = [[row["method"], f"{row['mean']:.3f}", f"{row['seconds_per_user']:.4g}"] for row in rows]
    columns = ["method", "NDCG@10", "seconds per user"]
    chart, finding = quality_cost_chart(drawn, pl.DataFrame(rows), "NDCG@10"), _cost_sentence(rows)
    return Section(title, text, columns, table, chart, question=question, finding=finding)


def _cost_sentence(rows: Sequence[Mapping[str, Any]]) -> str:
    best, fastest = max(rows, key=lambda row: row["mean"]), min(rows, key=lambda row: row["seconds_per_user"])
    times = f"{best['method']} has the highest mean of the timed methods ({best['mean']:.3f})"
    if best is fastest:
        return f"{times} and is the fastest of them, at {best['seconds_per_user']:.3g} s per user."
    ratio = best["seconds_per_user"] / fastest["seconds_per_user"]
    seconds = f"{best['seconds_per_user']:.3g} s per user: {ratio:,.0f} times the {fastest['seconds_per_user']:.3g} s"
    return f"{times}, at {seconds} of {fastest['method']} ({fastest['mean']:.3f})."


def _teacher_name(pair: str, methods: set[str]) -> str:
    """Return the teacher of `<student>-<teacher>`, both possibly hyphenated: the longest ending that is a method."""
    endings = [pair[k + 1 :] for k, sign in enumerate(pair) if sign == "-"]
    return next((ending for ending in endings if ending in methods), endings[0])


def students(
    means: pl.DataFrame, compared: Mapping[str, Mapping[str, Any]], which: str, seconds_per_user: Mapping[str, float]
) -> Section:
    """Return gains of distilled students over their baselines, among items of the domain and among the candidates of a
    test set, and their quality and cost relative to the teacher."""
    overall = means.filter(stratum="all", metric="ndcg@10", kind="scored")
    quality = dict(overall.select("method", "mean").iter_rows())
    columns = ["student", "baseline", "distilled", "gain", "p", "gain in NDCG@10, candidates", "p, candidates"]
    rows = []
    for pair, metrics in compared.items():
        if pair not in quality:
            continue
        teacher, result = _teacher_name(pair, {*quality, *seconds_per_user}), next(iter(metrics.values()))
        on_candidates = metrics[which]["ndcg@10"]
        kept = f"{quality[pair] / quality[teacher]:.0%}" if quality.get(teacher) else "–"
        cheaper = seconds_per_user.get(teacher, 0.0) / seconds_per_user[pair]
        rows.append(
            [
                pair,
                f"{result['baseline']:.4f}",
                f"{result['distilled']:.4f}",
                "–" if result["relative_gain"] is None else f"{result['relative_gain']:+.1%}",
                _p(result),
                f"{on_candidates['difference']:+.4f}",
                _p(on_candidates),
                f"{quality[pair]:.3f}",
                kept,
                f"{cheaper:,.0f}" if cheaper else "–",
            ]
        )
    text = (
        "Distilled students and their baselines without a teacher, all seeds: among items of the target domain, then "
        f"among the candidates; p: {CROSSED_TEST}, of one seed {PERMUTATION_TEST}. Then the first student among the "
        "candidates: NDCG@10, its share of the teacher's, and how many times cheaper a user is."
    )
    return Section("Students", text, [*columns, "NDCG@10", "share of teacher", "times cheaper"], rows)


def _p(result: Mapping[str, Any]) -> str:
    """Return the p over both sources where there are several seeds, else over users."""
    both = result["p_users_and_trainings"]
    return f"{result['p_permutation']:.2g} (users alone)" if both is None else f"{both:.2g}"
