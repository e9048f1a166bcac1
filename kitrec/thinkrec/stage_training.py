"""The three stages of training, each from what the one before left in the folder.

    text        a fresh adapter, prompts of text alone                              -> text/
    projector   the projector, the adapter frozen (or not), prompts with vectors    -> projector/
    groups      an adapter a group, started as the projector left it, on the group's samples    -> groups/
A stage keeps what it needs to go on in a work folder, and judges by the AUC of the validation records."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.core.randomness import derived_seed
from kitrec.llm.base.pinning import PinnedBase
from kitrec.prompts.tokens import Encoder
from kitrec.thinkrec.checkpoint import Progress
from kitrec.thinkrec.groups import UserGroups, cluster_users, read_groups, with_centroids, write_groups
from kitrec.thinkrec.model import ThinkModel, adapter_weights, copy_adapter, with_adapter
from kitrec.thinkrec.params import Clusters, GroupsStage, Objective, ProjectorStage, Prompt, TextStage, TrainingConfig
from kitrec.thinkrec.projector import Projector
from kitrec.thinkrec.prompt_composer import PromptComposer
from kitrec.thinkrec.records import Record
from kitrec.thinkrec.samples import samples, verdict_tokens
from kitrec.thinkrec.storage import (
    GENERAL,
    GROUPS,
    PROJECTOR,
    USER2GROUP,
    group_name,
    load_adapters,
    load_projected,
    projector_hash,
    save_projected,
    save_stage,
)
from kitrec.thinkrec.training import Stage, Tensors, learn
from kitrec.thinkrec.vector_shards import Vectors
from kitrec.thinkrec.yes_no_ranking import TransformersScorer, make_validator


@dataclass(frozen=True)
class Given:
    """What stages learn from, on which base, and where things are."""

    prompt: Prompt
    objective: Objective
    train: Sequence[Record]
    valid: Sequence[Record]
    users: Vectors | None
    items: Vectors | None
    load_base: Callable[[], Any]  # in the weights it is trained on
    tokenizer: Any
    base: PinnedBase
    folder: Path
    work: Path
    seed: int
    told: Callable[[str, Progress], None]  # which stage, how far

    def composer(self, *, vectors: bool) -> PromptComposer:
        """Of prompts of text alone, or with vectors."""
        templates = self.prompt.vectors if vectors else self.prompt.text
        return PromptComposer(templates, Encoder(self.tokenizer), self.prompt.history_length, self.users, self.items)


def train_text(given: Given, p: TextStage) -> Progress:
    """Stage 1."""
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(given.seed, "thinkrec adapter"))
        llm = with_adapter(given.load_base(), p.adapter, GENERAL)
    model = ThinkModel(llm, None, verdict_tokens(Encoder(given.tokenizer)))
    progress = _learn(given, model, adapter_weights(llm, GENERAL), "text", p.training, given.composer(vectors=False))
    save_stage(llm, GENERAL, given.tokenizer, given.base, {"stage": "text", **told(progress)}, given.folder / GENERAL)
    return progress


def train_projector(given: Given, p: ProjectorStage) -> Progress:
    """Stage 2."""
    composer = given.composer(vectors=True)
    tables = [own.rows for own in (given.users, given.items) if own is not None]
    llm = load_adapters(given.load_base(), [GENERAL], given.base, given.folder, GENERAL)
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(given.seed, "thinkrec projector"))
        projector = Projector(composer.width, llm.config.hidden_size, p.expansion)
        projector.fit_to(
            torch.cat([torch.from_numpy(own) for own in tables]).numpy(), llm.get_input_embeddings().weight
        )
    model = ThinkModel(llm, projector.to(llm.device), verdict_tokens(Encoder(given.tokenizer)))
    adapter = adapter_weights(llm, GENERAL) if p.trainable == "projector_and_adapter" else {}
    progress = _learn(
        given, model, {**dict(projector.named_parameters()), **adapter}, "projector", p.training, composer
    )
    origin = {"stage": "projector", **told(progress)}

    def save_moved(to: Path) -> None:
        if adapter:
            save_stage(llm, GENERAL, given.tokenizer, given.base, origin, to)

    save_projected(projector, given.folder, origin, save_moved)
    return progress


def train_groups(given: Given, p: GroupsStage, members: Path) -> dict[str, Progress]:
    """Stage 3, by the group's name; one without training records, or that gains nothing, keeps the general weights.

    `members` is read where groups are given: a user2group.csv."""
    found = _groups(given, p, members)
    without_group = len({own.user for own in given.train} - set(found.group_of))
    composer = given.composer(vectors=True)
    llm = load_adapters(given.load_base(), [GENERAL], given.base, given.folder, PROJECTOR)
    model = ThinkModel(llm, load_projected(given.folder).to(llm.device), verdict_tokens(Encoder(given.tokenizer)))
    rows = {}
    for group in range(len(found.centroids)):
        name, own = group_name(group), {user for user, of in found.group_of.items() if of == group}
        llm.add_adapter(name, copy.copy(llm.peft_config[GENERAL]))
        copy_adapter(llm, GENERAL, name)
        llm.set_adapter(name)
        train, valid = ([r for r in records if r.user in own] for records in (given.train, given.valid))
        judged = valid if len({r.label for r in valid}) == 2 else given.valid
        if train:
            weights = adapter_weights(llm, name)
            own_records = {"train": train, "valid": judged}
            rows[name] = _learn(given, model, weights, name, p.training, composer, **own_records, start_counts=True)
    with files.atomic(given.folder / GROUPS) as draft:
        for group, size in enumerate(found.sizes):
            own_rows = told(rows.get(group_name(group), Progress()))
            origin = {
                "stage": "groups",
                "group": group,
                "users": size,
                "training_users_without_group": without_group,
                "projector": projector_hash(given.folder),
                **own_rows,
            }
            save_stage(llm, group_name(group), given.tokenizer, given.base, origin, draft / group_name(group))
        write_groups(found, draft / USER2GROUP)
    return rows


def _groups(given: Given, p: GroupsStage, members: Path) -> UserGroups:
    if given.users is None:
        raise InputError("groups are told apart by user vectors: give a shard of users")
    if isinstance(p.members, Clusters):
        return cluster_users(given.users, p.members.count, given.seed)
    return with_centroids(read_groups(members), given.users)


def told(progress: Progress) -> dict[str, object]:
    """Its samples, and how it was chosen."""
    if not progress.best_round:
        return {**progress.counts, "updates": 0}
    best = progress.rows[progress.best_round - 1]
    finite = {name: value for name, value in best.items() if math.isfinite(value)}  # UAUC needs users with both labels
    rounded = {name: round(value, 6) if isinstance(value, float) else value for name, value in finite.items()}
    return {**progress.counts, **rounded}


def _learn(
    given: Given,
    model: ThinkModel,
    tensors: Tensors,
    name: str,
    training: TrainingConfig,
    composer: PromptComposer,
    *,
    train: Sequence[Record] | None = None,
    valid: Sequence[Record] | None = None,
    start_counts: bool = False,
) -> Progress:
    judged = given.valid if valid is None else valid
    if len({record.label for record in judged}) < 2:
        raise InputError(
            f"stage {name}: AUC chooses the update, and the {len(judged)} validation records have not both labels; "
            "convert records with liked and disliked items"
        )
    own = samples(given.train if train is None else train, composer, Encoder(given.tokenizer), given.seed)
    stage = Stage(name, own, training, given.objective, given.seed, given.work / name, start_counts)
    judge = make_validator(TransformersScorer(model, composer, given.objective), judged)
    return learn(model, tensors, stage, judge, lambda progress: given.told(name, progress))
