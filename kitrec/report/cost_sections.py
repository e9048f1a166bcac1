"""Report sections on costs: stages, quality against cost, and students, from the cost ledgers of stages."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from kitrec.core.mean_tests import CROSSED_TEST, PERMUTATION_TEST
from kitrec.report.charts import quality_cost_chart
from kitrec.report.page import Section

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


def stage_costs(ledgers: Ledgers) -> Section:
    """Return the costs of every stage."""
    rows = [
        [stage, f"{cost['seconds']:.1f}", f"{cost['cpu_seconds']:.1f}", str(cost["peak_memory_mib"]), _throughput(cost)]
        for stage, cost in sorted(ledgers.items(), key=lambda pair: -pair[1]["seconds"])
    ]
    columns = ["stage", "seconds", "CPU seconds", "peak MiB", "throughput"]
    return Section("Costs", "Costs of each stage on the machine it ran on.", columns, rows)


def quality_against_cost(means: pl.DataFrame, seconds_per_user: Mapping[str, float]) -> Section:
    """Return NDCG@10 over seconds per user, for methods whose inference was timed."""
    overall = means.filter(stratum="all", metric="ndcg@10", kind="scored")
    rows = [
        {"method": row["method"], "mean": row["mean"], "seconds_per_user": seconds_per_user[row["method"]]}
        for row in overall.iter_rows(named=True)
        if row["method"] in seconds_per_user
    ]
    text = "NDCG@10 of the scored ranking against inference time per user."
    return Section(
        "Quality against cost", text, chart=quality_cost_chart(pl.DataFrame(rows), "NDCG@10") if rows else None
    )


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


def _throughput(cost: Mapping[str, Any]) -> str:
    if "tokens_per_second" in cost:
        return f"{cost['tokens_per_second']} tokens/s"
    parts = [value for value in cost.values() if isinstance(value, dict)]
    rates = [value["records_per_second"] for value in parts if "records_per_second" in value]
    return f"{rates[0]:.1f} records/s" if rates else ""
