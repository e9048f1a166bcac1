"""Leak audit: fourteen ways in which test answers reach training or the prompt, each checked in the prepared data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kitrec.core.errors import InputError
from kitrec.preprocessing import leak_checks, template_leaks
from kitrec.preprocessing.audit_input import AuditInput, CheckResult

CHECKS: dict[str, Callable[[AuditInput], CheckResult]] = {
    "user in training and test": leak_checks.users_in_training_and_test,
    "held-out pair in training": leak_checks.held_out_pair_in_training,
    "future item in a history": leak_checks.future_in_history,
    "ground truth stands out by position or length": leak_checks.ground_truth_stands_out,
    "ground truth more popular than its negatives": leak_checks.ground_truth_is_popular,
    "only the ground truth has metadata": leak_checks.only_ground_truth_has_metadata,
    "item id in the template": template_leaks.item_id_in_template,
    "negative that the user interacted with": leak_checks.interacted_negatives,
    "hard negatives mined outside training": leak_checks.neighbours_mined_outside_training,
    "teacher's output on test records": leak_checks.teacher_outputs_on_test,
    "checkpoint chosen on test users": leak_checks.users_in_development_and_test,
    "template depends on the ground truth": template_leaks.template_depends_on_ground_truth,
    "preference user in test": leak_checks.users_in_preference_and_test,
    "held-out pair in preference records": leak_checks.held_out_pair_in_preference,
}
USER_LEAKS = {"user in training and test", "checkpoint chosen on test users", "preference user in test"}


@dataclass(frozen=True)
class Finding:
    """A leak: the number of affected rows and an example."""

    leak: str
    rows: int
    example: str


def audit(data: AuditInput) -> list[Finding]:
    """Return all leaks found in the data."""
    findings = []
    for leak, check in CHECKS.items():
        rows, example = check(data)
        if rows:
            findings.append(Finding(leak, rows, example))
    return findings


def enforce(findings: Mapping[str, Sequence[Finding]], leaks: str, overlap: str) -> dict[str, dict[str, int]]:
    """Return affected rows by candidate set and leak, for the metrics. Raise unless the policy is `report`: `overlap`
    for users with two roles, `leaks` for all other leaks."""
    refused = [
        f"set {candidate_set}: {f.leak} ({f.rows}, e.g. {f.example})"
        for candidate_set, of_set in findings.items()
        for f in of_set
        if (overlap if f.leak in USER_LEAKS else leaks) != "report"
    ]
    if refused:
        raise InputError(
            "test answers leak, results would mean nothing:\n  "
            + "\n  ".join(refused)
            + "\nMend the data; or, where they are as their authors gave them, set source.leaks "
            "(of users: source.overlap) to `report`"
        )
    return {candidate_set: {f.leak: f.rows for f in of_set} for candidate_set, of_set in findings.items()}
