"""What two deviations from the published ThinkRec are worth.   python -m bench.thinkrec_published FOLDER ...

FOLDER is a checkout in which `kitrec profile use variants=thinkrec` and `dvc repro infer_thinkrec` have run; further
ones are the same with other params, such as `-S thinkrec.objective.logit=yes`. The trained weights of each folder's
stage `groups` rank the test candidates of set A four times:

    logit   yes_minus_no: the logit of Yes less that of No; yes: the logit of Yes alone, as published
    merge   concatenation: the weighted mean of the group adapters' updates; linear: as published (adapter_mixture.py)

Merging touches the users of a mixture alone, whose AUC stands beside that of all. Paired: the same users are resampled
for each, and compared with the first folder's params."""

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import torch

from bench.claims import Claim, at_least, publish
from kitrec.core import params, tables
from kitrec.core.errors import InputError
from kitrec.evaluation.auc_intervals import AUCEstimate, like_prediction_auc, paired_difference
from kitrec.llm.base.loading import load_base, load_tokenizer
from kitrec.llm.base.pinning import read_pinned
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.items import ITEMS
from kitrec.schemas.rankings import from_scores
from kitrec.schemas.records import RECORDS
from kitrec.thinkrec.adapter_mixture import mixtures
from kitrec.thinkrec.collaborative_vectors import load_collaborative_encoder
from kitrec.thinkrec.conversion import candidate_records, shown_titles, user_keys
from kitrec.thinkrec.inference import load_context
from kitrec.thinkrec.params import Merge, ThinkRec
from kitrec.thinkrec.prompt_composer import ComposedPrompt, PromptComposer
from kitrec.thinkrec.routing import route
from kitrec.thinkrec.shared_prefix import YesNoLogits, batches_by_length, yes_no_logits
from kitrec.thinkrec.storage import TrainedStage, load_trained
from stages.lib import paths

COMMAND, RESAMPLES, STAGE = "python -m bench.thinkrec_published FOLDER", 2000, "groups"
Choice = tuple[Literal["yes", "yes_minus_no"], Merge]
CHOICES: list[Choice] = [
    ("yes_minus_no", "concatenation"),
    ("yes_minus_no", "linear"),
    ("yes", "concatenation"),
    ("yes", "linear"),
]
ABOUT = (
    "The same trained weights in every row of a table; a table's weights were trained by the score in its title, so "
    "the other score stands there at a disadvantage: its row says what scoring by it gives, not what training by it "
    "would."
)
OURS, PUBLISHED = CHOICES[0], CHOICES[-1]
Estimates = dict[Choice, tuple[AUCEstimate, AUCEstimate]]  # of all users, and of those with a mixture


def main(folders: list[Path]) -> None:
    """Rank by all choices in every folder and publish."""
    ranked: dict[Path, Estimates] = {}
    details: dict[str, Any] = {}
    for folder in folders:
        with contextlib.chdir(folder):
            p = params.load(ThinkRec, "thinkrec")
            ranked[folder], counts = _estimates(p)
        name = f"weights trained with logit: {p.objective.logit}"
        ours = ranked[folders[0]][OURS]
        details[name] = [_row(choice, pair, ours) for choice, pair in ranked[folder].items()]
        updates = {stage: getattr(p.stages, stage).training.updates for stage in ("text", "projector", "groups")}
        details[f"{name}: users and updates"] = [counts | {f"{stage} updates": n for stage, n in updates.items()}]
    publish("thinkrec_published", _claims(ranked[folders[0]]), details, ABOUT)


def _estimates(p: ThinkRec) -> tuple[Estimates, dict[str, int]]:
    """Rank the test records of set A by each choice with the trained weights of the current folder.

    A forward pass gives both logits, and another merge changes those of a mixture alone: these are computed again."""
    base, folder = read_pinned(), paths.THINKREC
    records, items = tables.read(paths.set_records("A", "test"), RECORDS), tables.read(paths.ITEMS, ITEMS)
    interactions, tokenizer = tables.read(paths.interactions("test"), SPLIT_INTERACTIONS), load_tokenizer(base)
    model = load_trained(load_base(base, p.base_weights), tokenizer, base, folder, STAGE)
    encoder = load_collaborative_encoder(paths.recommender(p.encoders[0]))
    context = load_context(encoder, records, interactions, folder / "records", model.groups)
    assert context.groups is not None
    routing = route(user_keys(records), context.users, context.groups, p.routing)
    composer = PromptComposer(
        p.prompt.vectors, Encoder(tokenizer), p.prompt.history_length, context.users, context.items
    )
    titles = shown_titles(items)
    lists = [candidate_records(row, context.histories, titles) for row in records.iter_rows(named=True)]
    prompts = [[composer.compose(record) for record in of_user] for of_user in lists]
    mixed = [k for k, answered in enumerate(routing.answered_by) if answered == "mixture"]
    everybody = list(range(records.height))
    by_merge = {"concatenation": _logits(model, prompts, everybody, mixtures(routing.weights, "concatenation"))}
    print("concatenation", flush=True)
    linear = _logits(model, prompts, mixed, mixtures(routing.weights, "linear"))
    by_merge["linear"] = by_merge["concatenation"] | linear
    estimates: Estimates = {}
    for logit, merge in CHOICES:
        objective = replace(p.objective, logit=logit)
        scores = [by_merge[merge][k].probabilities(objective).astype(float).tolist() for k in everybody]
        rankings, of_mixed = from_scores("thinkrec", records, scores), records[mixed]
        ranked = rankings.join(of_mixed.select("record_id"), on="record_id", how="semi", maintain_order="left")
        estimates[logit, merge] = _estimate(rankings, records), _estimate(ranked, of_mixed)
        print(logit, merge, estimates[logit, merge][0].to_dict(), flush=True)
    return estimates, {"records": records.height, "of a mixture": len(mixed)}


def _logits(
    model: TrainedStage, prompts: Sequence[Sequence[ComposedPrompt]], rows: Sequence[int], matrices: np.ndarray
) -> dict[int, YesNoLogits]:
    """Return the logits of Yes and No of some records, each under its mixture."""
    assert model.stack is not None
    logits: dict[int, YesNoLogits] = {}
    for batch in batches_by_length([prompts[k] for k in rows]):
        picked = [rows[k] for k in batch]
        with model.stack.mixed(torch.from_numpy(matrices[picked]).float()):
            logits |= zip(picked, yes_no_logits(model.model, [prompts[k] for k in picked]), strict=True)
    return logits


def _estimate(rankings: pl.DataFrame, records: pl.DataFrame) -> AUCEstimate:
    return like_prediction_auc(rankings, records, RESAMPLES, seed=0)


def _row(
    choice: Choice, pair: tuple[AUCEstimate, AUCEstimate], ours: tuple[AUCEstimate, AUCEstimate]
) -> dict[str, Any]:
    row: dict[str, Any] = {"logit": choice[0], "merge": choice[1], "as published": "yes" if choice == PUBLISHED else ""}
    for which, estimate, reference in zip(("", "mixture: "), pair, ours, strict=True):
        metrics, ahead = estimate.to_dict(), paired_difference(estimate, reference)
        row |= {
            f"{which}auc": f"{metrics['auc']:.4f} [{metrics['auc_low']:.4f}, {metrics['auc_high']:.4f}]",
            f"{which}uauc": f"{metrics['uauc']:.4f} [{metrics['uauc_low']:.4f}, {metrics['uauc_high']:.4f}]",
            f"{which}uauc less ours": round(ahead["uauc"], 4),
            f"{which}p": ahead["uauc_p"],
        }
    return row


def _claims(estimates: Estimates) -> list[Claim]:
    """Claim that neither choice costs UAUC on the same weights, one changed at a time."""
    ours, spread = estimates[OURS][0], f"users resampled {RESAMPLES} times"
    claims: list[Claim] = []
    for what, choice in zip(("concatenation less linear", "yes_minus_no less yes"), CHOICES[1:3], strict=True):
        gap = paired_difference(ours, estimates[choice][0])
        text = f"{what}, the same weights: UAUC"
        claims.append(at_least(text, gap["uauc"], 0.0, "", COMMAND, spread=f"{spread}, p {gap['uauc_p']:.2g}"))
    return claims


if __name__ == "__main__":
    try:
        main([Path(name) for name in sys.argv[1:] or ["."]])
    except InputError as problem:
        sys.exit(f"error: {problem}")
