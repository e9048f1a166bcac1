"""The `thinkrec` section of params.yaml: records, prompts, objective, stages, groups and reflection."""

from typing import Annotated, Literal

from pydantic import Field

from kitrec.core.params import rules, section
from kitrec.llm.base.params import Adapter
from kitrec.llm.generation.params import Engine
from kitrec.openai_client.params import Endpoint
from kitrec.recommenders.models.params import SASRec

Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Merge = Literal["concatenation", "linear"]
TARGET_MARKS = ("<TargetItemTitle>", "<TargetItemID>")


@section
class MF:
    kind: Literal["mf"]
    hidden_size: Count


@section
class LabelledTrainingConfig:
    """A like/dislike model over item ids, and its training."""

    model: Annotated[MF | SASRec, Field(discriminator="kind")]
    epochs: Count
    batch_size: Count
    learning_rate: Positive
    weight_decay: Weight
    patience: Count
    next_item_weight: Weight  # of SASRec's next-item loss, beside that of the labels
    bias_lr_multiplier: Positive  # on the learning rate of the biases, which have few steps to converge

    def __post_init__(self) -> None:
        require, done = rules()
        require(
            self.model.kind == "sasrec" or self.next_item_weight == 0,
            "next_item_weight: MF has no next item; set it to 0",
        )
        done()


@section
class Prompt:
    """Templates: one is drawn per training sample, scoring uses the first. Those of `text` show no vectors. A template
    that does not show the target asks for it: records whose answer is an item use these, all others the rest."""

    text: Annotated[list[str], Field(min_length=1)]
    vectors: Annotated[list[str], Field(min_length=1)]
    history_length: Count

    def __post_init__(self) -> None:
        require, done = rules()
        for name, templates in (("text", self.text), ("vectors", self.vectors)):
            shown = any(mark in template for template in templates for mark in TARGET_MARKS)
            require(shown, f"{name}: every template lacks the item; add one with {' or '.join(TARGET_MARKS)}")
        done()


@section
class Objective:
    """L = alpha L_rec + beta L_reason on reasoning samples, theta L_rec + gamma L_LM on recommendation samples."""

    alpha: Weight
    beta: Weight
    theta: Weight
    gamma: Weight
    logit: Literal["yes", "yes_minus_no"]
    reasoning_ratio: Share

    def __post_init__(self) -> None:
        require, done = rules()
        require(
            self.alpha + self.beta > 0, "alpha and beta are both 0: reasoning samples would have no loss; raise one"
        )
        require(
            self.theta + self.gamma > 0,
            "theta and gamma are both 0: recommendation samples would have no loss; raise one",
        )
        done()


@section
class TrainingConfig:
    """Training of one stage, validated (and checkpointed) after every `validate_every` updates."""

    updates: Count
    validate_every: Count
    batch_size: Count
    micro_batch_size: Count  # samples per forward pass: less memory, the same gradient
    learning_rate: Positive
    warmup_ratio: Share
    weight_decay: Weight
    max_grad_norm: Positive
    patience: Count
    gradient_checkpointing: bool

    @property
    def rounds(self) -> int:
        """Updates between two validations are a round."""
        return self.updates // self.validate_every

    def __post_init__(self) -> None:
        require, done = rules()
        require(
            self.updates % self.validate_every == 0,
            f"updates ({self.updates}) must be a multiple of validate_every ({self.validate_every}): the last counts",
        )
        done()


@section
class Reflection:
    """In each of `rounds`: let the teacher explain at most `max_mistakes` mispredicted training records, learn on."""

    rounds: Annotated[int, Field(ge=0)]
    max_mistakes: Count


@section
class TextStage:
    adapter: Adapter
    training: TrainingConfig
    reflection: Reflection


@section
class ProjectorStage:
    """`trainable`: the projector alone, as published, or the general adapter with it; a small base needs both."""

    expansion: Count
    trainable: Literal["projector", "projector_and_adapter"]
    training: TrainingConfig


@section
class Clusters:
    """Groups of similar user vectors."""

    kind: Literal["clusters"]
    count: Count


@section
class GroupsFromFile:
    """Groups of a file: raw/user2group.csv."""

    kind: Literal["file"]


@section
class GroupsStage:
    members: Annotated[Clusters | GroupsFromFile, Field(discriminator="kind")]
    training: TrainingConfig


@section
class Stages:
    text: TextStage
    projector: ProjectorStage
    groups: GroupsStage


@section
class RoutingRule:
    """The adapters that answer for a user, by the rule in routing.py; `merge`: how several do (adapter_mixture.py)."""

    temperature: Positive
    top_base: Share
    top_slope: Weight
    entropy: Share
    merge: Merge


@section
class TemplateTeacherConfig:
    kind: Literal["template"]


@section
class EndpointTeacherConfig:
    kind: Literal["endpoint"]
    endpoint: Endpoint


@section
class TransformersScoring:
    kind: Literal["transformers"]


@section
class EngineScoring:
    """A stock vLLM engine with one adapter, so without groups."""

    kind: Literal["vllm"]
    engine: Engine

    def __post_init__(self) -> None:
        require, done = rules()
        require(self.engine.replicas == 1, "engine.replicas: one engine scores; set it to 1")
        done()


@section
class ThinkRec:
    """`train` names what each stage continues from; without a stage, ThinkRec is off."""

    encoders: Annotated[list[str], Field(max_length=1)]
    train: dict[Literal["text", "projector", "groups"], Literal["records", "text", "projector"]]
    negatives: Count
    teacher: Annotated[TemplateTeacherConfig | EndpointTeacherConfig, Field(discriminator="kind")]
    base_weights: Literal["nf4", "bf16", "f32"]
    prompt: Prompt
    objective: Objective
    scoring: Annotated[TransformersScoring | EngineScoring, Field(discriminator="kind")]
    stages: Stages
    routing: RoutingRule

    def __post_init__(self) -> None:
        require, done = rules()
        order = {"text": "records", "projector": "text", "groups": "projector"}
        wrong = [name for name, before in self.train.items() if before != order[name]]
        require(not wrong, f"train: {', '.join(f'{name} continues from {order[name]}' for name in wrong)}")
        orphaned = [name for name, before in self.train.items() if before not in (*self.train, "records")]
        require(
            not orphaned, f"train: {', '.join(orphaned)} without {', '.join(self.train[n] for n in orphaned)} before it"
        )
        require(
            self.scoring.kind == "transformers" or self.objective.logit == "yes_minus_no",
            "scoring: vLLM returns no logit of Yes alone; set objective.logit: yes_minus_no, or kind: transformers",
        )
        require(
            self.scoring.kind == "transformers" or "groups" not in self.train,
            "scoring: vLLM does not mix the adapters of groups; take groups out of train, or set kind: transformers",
        )
        require(
            not self.train or bool(self.encoders), "encoders: name the method of idrec.train whose vectors prompts show"
        )
        done()
