"""The three training stages, each starting from what the stage before it left in the folder.

    text        a fresh adapter, prompts of text alone                              -> text/
    projector   the projector, the adapter frozen (or not), prompts with vectors    -> projector/
    groups      an adapter a group, started as the projector left it, on the group's samples    -> groups/
Each stage has its checkpoint in the work folder; the AUC of the validation records chooses its weights."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.core.randomness import derived_seed
from kitrec.llm.base.memory_plan import TrainingLoad
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.finetuning.light_lora import use_light_layers
from kitrec.llm.finetuning.lora import adapter_weights, copy_adapter, with_adapter
from kitrec.prompts.tokens import Encoder
from kitrec.thinkrec.groups import UserGroups, cluster_users, read_groups, with_centroids, write_groups
from kitrec.thinkrec.model import ThinkModel
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
from kitrec.thinkrec.training import Stage, Tensors, TrainedStage, train_stage
from kitrec.thinkrec.vector_shards import Vectors
from kitrec.thinkrec.yes_no_ranking import TransformersScorer, make_validator
from kitrec.training.state import Progress

TOKENS_OF_ITEM, RANK = 40, 32  # for the memory plan: of a title with its vector, and of an adapter at most


@dataclass(frozen=True)
class StageData:
    """Records, vectors, base and folders of the stages."""

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
    on_validation: Callable[[str, Progress], None]  # takes the name of the stage too

    def composer(self, *, vectors: bool) -> PromptComposer:
        """Return the composer of prompts with text alone, or with vectors."""
        templates = self.prompt.vectors if vectors else self.prompt.text
        return PromptComposer(templates, Encoder(self.tokenizer), self.prompt.history_length, self.users, self.items)


def training_load(weights: str, prompt: Prompt, training: TrainingConfig) -> TrainingLoad:
    """Return what the training of a stage keeps on a device."""
    length = TOKENS_OF_ITEM * (prompt.history_length + 2)
    return TrainingLoad(weights, RANK, training.micro_batch_size, length, training.gradient_checkpointing)


def train_text(data: StageData, p: TextStage) -> TrainedStage:
    """Train stage `text`: a fresh adapter, on prompts of text alone."""
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(data.seed, "thinkrec adapter"))
        llm = with_adapter(data.load_base(), p.adapter, GENERAL)
    model = ThinkModel(llm, None, verdict_tokens(Encoder(data.tokenizer)))
    trained = _train(data, model, adapter_weights(llm, GENERAL), "text", p.training, data.composer(vectors=False))
    save_stage(llm, GENERAL, data.tokenizer, data.base, {"stage": "text", **trained.metrics()}, data.folder / GENERAL)
    return trained


def train_projector(data: StageData, p: ProjectorStage) -> TrainedStage:
    """Train stage `projector`, on prompts with vectors; the adapter is trained along if the params say so."""
    composer = data.composer(vectors=True)
    tables = [vectors.rows for vectors in (data.users, data.items) if vectors is not None]
    llm = load_adapters(data.load_base(), [GENERAL], data.base, data.folder, GENERAL)
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(data.seed, "thinkrec projector"))
        projector = Projector(composer.width, llm.config.hidden_size, p.expansion)
        projector.fit_to(
            torch.cat([torch.from_numpy(rows) for rows in tables]).numpy(), llm.get_input_embeddings().weight
        )
    model = ThinkModel(llm, projector.to(llm.device), verdict_tokens(Encoder(data.tokenizer)))
    adapter = adapter_weights(llm, GENERAL) if p.trainable == "projector_and_adapter" else {}
    trained = _train(data, model, {**dict(projector.named_parameters()), **adapter}, "projector", p.training, composer)
    origin = {"stage": "projector", **trained.metrics()}

    def save_moved(to: Path) -> None:
        if adapter:
            save_stage(llm, GENERAL, data.tokenizer, data.base, origin, to)

    save_projected(projector, data.folder, origin, save_moved)
    return trained


def train_groups(data: StageData, p: GroupsStage, members: Path) -> dict[str, TrainedStage]:
    """Train stage `groups` and return the trained groups by name.

    A group without training records or improvement keeps the general weights. `members` is the user2group.csv of
    groups from a file."""
    groups = _groups(data, p, members)
    without_group = len({record.user for record in data.train} - set(groups.group_of))
    composer = data.composer(vectors=True)
    llm = load_adapters(data.load_base(), [GENERAL], data.base, data.folder, PROJECTOR)
    model = ThinkModel(llm, load_projected(data.folder).to(llm.device), verdict_tokens(Encoder(data.tokenizer)))
    trained = {}
    for group in range(len(groups.centroids)):
        name, users = group_name(group), {user for user, of in groups.group_of.items() if of == group}
        llm.add_adapter(name, copy.copy(llm.peft_config[GENERAL]))
        copy_adapter(llm, GENERAL, name)
        llm.set_adapter(name)
        train, group_valid = ([r for r in records if r.user in users] for records in (data.train, data.valid))
        valid = group_valid if len({r.label for r in group_valid}) == 2 else data.valid
        if train:
            weights = adapter_weights(llm, name)
            trained[name] = _train(
                data, model, weights, name, p.training, composer, train=train, valid=valid, validate_start=True
            )
    with files.atomic(data.folder / GROUPS) as draft:
        for group, size in enumerate(groups.sizes):
            metrics = trained.get(group_name(group), TrainedStage(Progress(), {})).metrics()
            origin = {
                "stage": "groups",
                "group": group,
                "users": size,
                "training_users_without_group": without_group,
                "projector": projector_hash(data.folder),
                **metrics,
            }
            save_stage(llm, group_name(group), data.tokenizer, data.base, origin, draft / group_name(group))
        write_groups(groups, draft / USER2GROUP)
    return trained


def _groups(data: StageData, p: GroupsStage, members: Path) -> UserGroups:
    if data.users is None:
        raise InputError("groups come from user vectors: give a shard of users")
    if isinstance(p.members, Clusters):
        return cluster_users(data.users, p.members.count, data.seed)
    return with_centroids(read_groups(members), data.users)


def _train(
    data: StageData,
    model: ThinkModel,
    tensors: Tensors,
    name: str,
    config: TrainingConfig,
    composer: PromptComposer,
    *,
    train: Sequence[Record] | None = None,
    valid: Sequence[Record] | None = None,
    validate_start: bool = False,
) -> TrainedStage:
    valid = data.valid if valid is None else valid
    if len({record.label for record in valid}) < 2:
        raise InputError(
            f"stage {name}: AUC chooses the update, and the {len(valid)} validation records have not both labels; "
            "convert records with liked and disliked items"
        )
    stage_samples = samples(data.train if train is None else train, composer, Encoder(data.tokenizer), data.seed)
    use_light_layers(model.llm)
    stage = Stage(name, stage_samples, config, data.objective, data.seed, data.work / name, validate_start)
    validate = make_validator(TransformersScorer(model, composer, data.objective), valid)
    return train_stage(model, tensors, stage, validate, lambda progress: data.on_validation(name, progress))
