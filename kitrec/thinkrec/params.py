"""The `thinkrec` section of params.yaml: records, prompts, losses, stages, groups and reflection."""

from typing import Annotated, Literal

from pydantic import Field

from kitrec.chat.params import Endpoint
from kitrec.idrec.params import SASRec
from kitrec.params import rules, section

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
    """Templates by name: samples take them in turn. `text` is shown without vectors, `vectors` with them."""

    text: Annotated[list[str], Field(min_length=1)]
    vectors: Annotated[list[str], Field(min_length=1)]
    history: Count


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
class Stages:
    text: Course
    projector: Course
    groups: Course


@section
class Groups:
    count: Count
    temperature: Positive
    top_base: Share
    top_slope: Weight
    entropy: Share


@section
class Reflection:
    """`rounds` of: collect at most `cases` mispredicted training records, let the teacher explain, learn on."""

    rounds: Annotated[int, Field(ge=0)]
    cases: Count
    teacher: Literal["template", "endpoint"]


@section
class ThinkRec:
    negatives: Count
    prompt: Prompt
    expansion: Count
    objective: Objective
    adapter: Adapter
    stages: Stages
    groups: Groups
    reflection: Reflection
    endpoint: Endpoint
