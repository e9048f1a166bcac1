"""Answers of a view in sentences: the best learned method, what the tests say of it, and what they do not cover."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from kitrec.report.palette import Role
from kitrec.report.verdicts import Difference, comparison, grouped, holm, listed, p

Means = Mapping[str, Mapping[str, Sequence[float]]]  # method -> metric -> mean, low, high
FIRST_ITEM = "hit@1"


def view_answers(
    means: Mapping[str, Means],
    compared: pl.DataFrame,
    declared: pl.DataFrame | None,
    roles: Mapping[str, Role],
    answer_items: Mapping[str, int],
    titles: Mapping[str, str],
) -> dict[str, dict[str, Any]]:
    """Return kind -> metric -> best learned method and sentences; `declared` holds corrected p of declared pairs."""
    answers: dict[str, dict[str, Any]] = {}
    for kind, methods in means.items():
        learned = [name for name in methods if roles[name] == "learned"]
        differences = {metric: _differences(compared, declared, kind, metric, roles) for metric in titles}
        unequal = kind == "written" and len({answer_items.get(name) for name in learned}) > 1
        for metric in titles:
            if unequal and metric != FIRST_ITEM:
                text = f"Answers of different numbers of items compare in {titles[FIRST_ITEM]} alone: see that metric."
                answers.setdefault(kind, {})[metric] = _nothing(text)
            else:
                answer = _answer(methods, learned, differences, metric, roles, titles)
                answers.setdefault(kind, {})[metric] = answer
    return answers


def _answer(
    methods: Means,
    learned: Sequence[str],
    differences: Mapping[str, list[Difference]],
    metric: str,
    roles: Mapping[str, Role],
    titles: Mapping[str, str],
) -> dict[str, Any]:
    if not learned:
        return _nothing("No learned method has rankings of this kind.")
    ranked = sorted(learned, key=lambda name: -methods[name][metric][0])
    best, of_best = ranked[0], {name: _against(rows, ranked[0]) for name, rows in differences.items()}
    mean, low, high = methods[best][metric]
    lead = f"{best} has the highest mean {titles[metric]} of the learned methods, {mean:.3f} [{low:.3f}, {high:.3f}]"
    sentences, runner_up, claim = [f"{lead}."], ranked[1] if len(ranked) > 1 else None, ""
    if runner_up and runner_up in of_best[metric]:
        tested = of_best[metric][runner_up]
        claim = comparison(tested)
        if tested.value == 0:
            lead = lead.replace(f"{best} has", f"{best} and {runner_up} share", 1)
            sentences = [f"{lead}, at n = {tested.n} users."]
        else:
            sentences = [f"{lead}, {'and' if tested.verdict == 'ahead' else 'but'} is {claim}."]
    others = [each for name, each in of_best[metric].items() if name != runner_up]
    if others:
        sentences.append(f"It is {grouped(others)}.")
    note = _note(methods, of_best, runner_up, metric, roles, titles)
    return {"best": best, "claim": claim, "sentences": sentences, "note": note}


def _nothing(text: str) -> dict[str, Any]:
    return {"best": None, "claim": "", "sentences": [text], "note": ""}


def _note(
    methods: Means,
    of_best: Mapping[str, Mapping[str, Difference]],
    runner_up: str | None,
    metric: str,
    roles: Mapping[str, Role],
    titles: Mapping[str, str],
) -> str:
    """Return what the same pair shows in other metrics, and the values of the bounds."""
    parts = []
    if runner_up:
        verdicts = [
            f"{titles[name]} {rows[runner_up].verdict} ({p(rows[runner_up].p)})"
            for name, rows in of_best.items()
            if name != metric and runner_up in rows
        ]
        parts += [f"Against {runner_up} by other metrics: {', '.join(verdicts)}."] if verdicts else []
    bounds = [f"{name} {row[metric][0]:.3f}" for name, row in methods.items() if roles[name] == "bound"]
    parts += [f"Upper bounds, which know the users' tastes: {listed(bounds)}."] if bounds else []
    return " ".join(parts)


def _against(differences: Sequence[Difference], best: str) -> dict[str, Difference]:
    """Return other method -> difference of the best from it."""
    turned = [each.of(best) for each in differences if best in (each.method, each.other)]
    return {each.other: each for each in turned}


def _differences(
    compared: pl.DataFrame, declared: pl.DataFrame | None, kind: str, metric: str, roles: Mapping[str, Role]
) -> list[Difference]:
    """Return the differences of all methods that are no bounds, each with its corrected p."""
    rows = [
        row
        for row in compared.filter(kind=kind, metric=metric).iter_rows(named=True)
        if "bound" not in (roles[row["method"]], roles[row["other"]])
    ]
    corrected = holm([row["p_permutation"] for row in rows])
    before = {} if declared is None else _declared(declared, kind, metric)
    return [
        Difference(
            row["method"], row["other"], row["difference"], row["low"], row["high"],
            before.get((row["method"], row["other"]), by_view), row["n"],
        )
        for row, by_view in zip(rows, corrected, strict=True)
    ]  # fmt: skip


def _declared(declared: pl.DataFrame, kind: str, metric: str) -> dict[tuple[str, str], float]:
    rows = declared.filter(kind=kind, metric=metric).filter("declared")
    return {(row["method"], row["other"]): row["p_holm"] for row in rows.iter_rows(named=True)}
