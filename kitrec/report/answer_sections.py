"""Report section on what answers hold by stratum: confidence, thoughts, references, rationales; from metrics files."""

from collections.abc import Iterator, Mapping
from typing import Any

from kitrec.report.page import Section

STRATA = ("domain", "core", "user_type")
MISSING = "–"
COLUMNS = [
    *("stratum", "method", "n", "confidence MAE", "confidence RMSE"),
    *("thought (characters)", "history items mentioned", "perplexity", "perplexity (base)"),
]
Metrics = Mapping[str, Any]


def answers_by_stratum(
    confidence: Mapping[str, Metrics], answers: Mapping[str, Metrics], rationales: Mapping[str, Metrics], min_users: int
) -> Section:
    """Return all measures of all methods on every test set and in every stratum of the first, with intervals.

    `confidence` is test set -> its methods; `answers` and `rationales` are method -> their test sets."""
    sets = list(confidence)
    rows = []
    for method, by_set in answers.items():
        parts = {which: (confidence[which].get(method, {}), by_set[which], rationales.get(method, {}).get(which, {}))
                 for which in sets}  # fmt: skip
        rows += [_row(f"test set: {which[3:]}", method, part, min_users) for which, part in parts.items()]
        for label, part in _members(parts[sets[0]]):
            rows.append(_row(label, method, part, min_users))
    text = (
        "Means with 95 % BCa intervals by resampled users: error of the stated confidence (halved, so that 10 is five "
        "stars) against the rating of the held-out item; characters of the thought; distinct items of the source "
        "history that thought and rationale mention; perplexity of rationales to the model that wrote them and to the "
        f"base. Strata are those of set {sets[0][3:]}; few: fewer than {min_users} answers."
    )
    return Section("Answers by stratum", text, COLUMNS, rows, collapsed=True)


def _members(parts: tuple[Metrics, ...]) -> Iterator[tuple[str, tuple[Metrics, ...]]]:
    """Yield label and metrics of every member of every stratum that answers have."""
    for stratum in STRATA:
        for member in parts[1].get(stratum, {}):
            yield f"{stratum}: {member}", tuple(part.get(stratum, {}).get(member, {}) for part in parts)


def _row(label: str, method: str, parts: tuple[Metrics, ...], min_users: int) -> list[str]:
    stated, held, scored = parts
    errors = stated.get("all", {}).get("halved", {})
    return [
        f"{label}{' (few)' if held['n'] < min_users else ''}",
        method,
        str(held["n"]),
        *(_cell(errors, name, 3) for name in ("mae", "rmse")),
        _mean(held["thinking_characters"], 0),
        _mean(held["history_mentions"], 2),
        *(_cell(scored, name, 2) for name in ("writer", "base")),
    ]


def _mean(values: Metrics, digits: int) -> str:
    return _cell({"mean": values["mean"], "mean_low": values["low"], "mean_high": values["high"]}, "mean", digits)


def _cell(values: Metrics, name: str, digits: int) -> str:
    """Return `value (low–high)`, or a dash where there is none."""
    if values.get(name) is None:
        return MISSING
    value, low, high = (f"{values[key]:.{digits}f}" for key in (name, f"{name}_low", f"{name}_high"))
    return f"{value} ({low}–{high})"
