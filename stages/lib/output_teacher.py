"""The outputs of records whose source has none: whose teacher they come from, and how many of its statements hold."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import polars as pl

from kitrec.openai_client.client import complete
from kitrec.openai_client.replies import ReplyCache
from kitrec.preprocessing.dataset import Dataset
from kitrec.preprocessing.params import AnyRationales, EndpointRationales
from kitrec.preprocessing.preference_pairs import PairOutputs, explained_pair
from kitrec.sources.endpoint_teacher import EndpointTeacher
from kitrec.sources.evidence import Evidence
from kitrec.sources.evidence_teacher import EvidenceTeacher, check_outputs
from kitrec.synthetic.teacher import Teacher, add_teacher_outputs
from stages.lib import runner

ROLES = ("train", "development")


@dataclass(frozen=True)
class Explained:
    """A data set with outputs for its training and development records, what the two sides of a preference pair say,
    and metrics of the outputs where their statements can be checked."""

    dataset: Dataset
    pair_outputs: PairOutputs
    metrics: dict[str, Any]


def add_outputs(
    p: AnyRationales, default: Teacher, dataset: Dataset, items: pl.DataFrame, seed: int, *, quiet: bool
) -> Explained:
    """Add the outputs of the teacher that the params name; `default` is the source's own, which names categories."""
    if p.kind == "categories":
        return Explained(add_teacher_outputs(dataset, default), explained_pair(default.explain), {})
    if p.kind == "none":
        return Explained(dataset, lambda *_: None, {})
    history = dataset.training_history
    evidence = Evidence(items, history)
    if isinstance(p, EndpointRationales):
        cache = ReplyCache(runner.WORK / "replies")
        answer = partial(complete, endpoint=p.endpoint, cache=cache, quiet=quiet)
        chat_teacher = EndpointTeacher(evidence, p.endpoint, answer, seed)
        explained, pairs = _all_explained(dataset, chat_teacher), explained_pair(chat_teacher.explain)
        metrics = {"teacher": f"endpoint:{p.endpoint.model}", "unusable_replies": chat_teacher.unusable}
    else:
        teacher = EvidenceTeacher(evidence)
        explained, pairs, metrics = add_teacher_outputs(dataset, teacher), explained_pair(teacher.explain), {}
    first = next(iter(explained.records.values()))
    checked = check_outputs(pl.concat([first[role] for role in ROLES]), items, history)
    return Explained(explained, pairs, {"rationales": {**metrics, **checked}})


def _all_explained(dataset: Dataset, teacher: EndpointTeacher) -> Dataset:
    """Return the data set with outputs; the sets show the same histories, so they share their requests."""
    records = {w: dict(roles) for w, roles in dataset.records.items()}
    for roles in records.values():
        for role in ROLES:
            outputs = teacher.explain_all(list(roles[role].iter_rows(named=True)))
            roles[role] = roles[role].with_columns(pl.Series("output", outputs, dtype=pl.String))
    return replace(dataset, records=records)
