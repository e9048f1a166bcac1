"""The `thinkrec` section of params.yaml: records, prompts, losses, stages, groups and reflection."""

from typing import Annotated, Literal

from pydantic import Field

from kitrec.core.params import rules, section
from kitrec.llm.generation.params import Engine
from kitrec.openai_client.params import Endpoint
from kitrec.recommenders.models.params import SASRec

Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


@section
class MF:
    kind: Literal["mf"]
    hidden: Count


@section
class LabelledCourse:
    """A model of likes and dislikes over item numbers, and how it learns."""

    model: Annotated[MF | SASRec, Field(discriminator="kind")]
    epochs: Count
    batch: Count
    learning_rate: Positive
    weight_decay: Weight
    patience: Count
    next_item: Weight  # of SASRec's own loss, beside that of the labels
    bias_rate: Positive  # biases learn so many times faster: they have far to go in few steps

    def __post_init__(self) -> None:
        require, done = rules()
        require(self.model.kind == "sasrec" or self.next_item == 0, "next_item: MF has no next item; set it to 0")
        done()


@section
class Prompt:
    """Templates: one is drawn for each sample, questions take the first. `text` has no vectors, `vectors` has."""

    text: Annotated[list[str], Field(min_length=1)]
    vectors: Annotated[list[str], Field(min_length=1)]
    history: Count

    def __post_init__(self) -> None:
        require, done = rules()
        for own in [*self.text, *self.vectors]:
            asks = "<TargetItemTitle>" in own or "<TargetItemID>" in own
            require(asks, f"{own[:40]!r} does not say which item is asked; name <TargetItemTitle> or <TargetItemID>")
        done()


@section
class Objective:
    """L = alpha L_rec + beta L_reason on reasoning samples, theta L_rec + gamma L_LM on recommendation samples."""

    alpha: Weight
    beta: Weight
    theta: Weight
    gamma: Weight
    logit: Literal["yes", "yes_minus_no"]
    reasoning: Share

    def __post_init__(self) -> None:
        require, done = rules()
        require(self.alpha + self.beta > 0, "alpha and beta are both 0: reasoning samples would teach nothing")
        require(self.theta + self.gamma > 0, "theta and gamma are both 0: recommendation samples would teach nothing")
        done()


@section
class Adapter:
    rank: Count
    alpha: Count
    dropout: Annotated[float, Field(ge=0, lt=1)]


@section
class Course:
    """One stage: so many updates, judged (and kept) after every `judge_every` of them."""

    updates: Count
    judge_every: Count
    batch: Count
    at_once: Count  # samples of a batch in one forward: less memory, the same gradient
    learning_rate: Positive
    warmup: Share
    weight_decay: Weight
    max_grad_norm: Positive
    patience: Count

    def __post_init__(self) -> None:
        require, done = rules()
        require(
            self.updates % self.judge_every == 0,
            f"updates ({self.updates}) must be a multiple of judge_every ({self.judge_every}): the last is judged too",
        )
        done()


@section
class Reflection:
    """`rounds` of: collect at most `cases` mispredicted training records, let the teacher explain, learn on."""

    rounds: Annotated[int, Field(ge=0)]
    cases: Count


@section
class TextStage:
    adapter: Adapter
    course: Course
    reflection: Reflection


@section
class ProjectorStage:
    """`moves`: the projector alone, as published, or the general adapter with it; a small base needs both."""

    expansion: Count
    moves: Literal["projector", "projector_and_adapter"]
    course: Course


@section
class Clusters:
    """Groups of like user vectors."""

    kind: Literal["clusters"]
    count: Count


@section
class GivenGroups:
    """Groups of somebody's own: a user2group.csv."""

    kind: Literal["given"]


@section
class GroupsStage:
    members: Annotated[Clusters | GivenGroups, Field(discriminator="kind")]
    course: Course


@section
class Stages:
    text: TextStage
    projector: ProjectorStage
    groups: GroupsStage


@section
class RoutingRule:
    """Who answers; the rule stands in routing.py."""

    temperature: Positive
    top_base: Share
    top_slope: Weight
    entropy: Share


@section
class Template:
    kind: Literal["template"]


@section
class AskedTeacher:
    kind: Literal["endpoint"]
    endpoint: Endpoint


@section
class ByTransformers:
    kind: Literal["transformers"]


@section
class ByEngine:
    """A stock vLLM engine, of one adapter: no groups."""

    kind: Literal["vllm"]
    engine: Engine

    def __post_init__(self) -> None:
        require, done = rules()
        require(self.engine.replicas == 1, "engine.replicas: one engine scores; set it to 1")
        done()


@section
class ThinkRec:
    """`train` names what each stage goes on from; no stage: ThinkRec is off."""

    eyes: Annotated[list[str], Field(max_length=1)]
    train: dict[Literal["text", "projector", "groups"], Literal["records", "text", "projector"]]
    negatives: Count
    teacher: Annotated[Template | AskedTeacher, Field(discriminator="kind")]
    base_weights: Literal["nf4", "bf16", "f32"]
    prompt: Prompt
    objective: Objective
    scoring: Annotated[ByTransformers | ByEngine, Field(discriminator="kind")]
    stages: Stages
    routing: RoutingRule

    def __post_init__(self) -> None:
        require, done = rules()
        order = {"text": "records", "projector": "text", "groups": "projector"}
        wrong = [name for name, before in self.train.items() if before != order[name]]
        require(not wrong, f"train: {', '.join(f'{name} goes on from {order[name]}' for name in wrong)}")
        lonely = [name for name, before in self.train.items() if before not in (*self.train, "records")]
        require(not lonely, f"train: {', '.join(lonely)} without {', '.join(self.train[n] for n in lonely)} before it")
        require(
            self.scoring.kind == "transformers" or self.objective.logit == "yes_minus_no",
            "scoring: vLLM tells no logit of Yes alone; set objective.logit: yes_minus_no, or kind: transformers",
        )
        require(
            self.scoring.kind == "transformers" or "groups" not in self.train,
            "scoring: vLLM does not mix the adapters of groups; take groups out of train, or set kind: transformers",
        )
        require(not self.train or bool(self.eyes), "eyes: name the method of idrec.train whose vectors prompts show")
        done()
