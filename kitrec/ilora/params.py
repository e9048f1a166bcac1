"""Params of the iLoRA teacher: mixture of experts, prompt, training, exported lists."""

from typing import Annotated, Literal

from pydantic import Field

from kitrec.core.params import rules, section

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


@section
class Dense:
    kind: Literal["dense"]


@section
class TopK:
    kind: Literal["top_k"]
    active_experts: Count  # per sample


@section
class MLP:
    kind: Literal["mlp"]
    hidden_size: Count


@section
class Noisy:
    kind: Literal["noisy"]
    active_experts: Count


Gate = Annotated[Dense | TopK | MLP | Noisy, Field(discriminator="kind")]


@section
class Mixture:
    """LoRA of this total rank, divided evenly among the experts."""

    experts: Count
    rank: Count
    alpha: Positive
    dropout: Annotated[float, Field(ge=0, lt=1)]
    gate: Gate

    def __post_init__(self) -> None:
        require, done = rules()
        require(
            self.rank % self.experts == 0,
            f"rank: {self.rank} is not divisible by {self.experts} experts; make it a multiple",
        )
        if isinstance(self.gate, TopK | Noisy):
            active = self.gate.active_experts
            require(
                active <= self.experts, f"gate.active_experts: {active} of {self.experts} experts; use no more than all"
            )
        done()


@section
class PromptConfig:
    """What a prompt shows, and the form of its answer."""

    max_history: Count  # the user's newest items
    answer: Literal["title", "id"]
    hybrid: bool  # an item token follows the text of every item that the sequence encoder has
    max_length: Count


@section
class Curriculum:
    """Text-only prompts until one fraction of the training, hybrid prompts only from another on."""

    text_until: Share
    hybrid_from: Share

    def __post_init__(self) -> None:
        require, done = rules()
        require(
            self.text_until <= self.hybrid_from,
            f"text_until: {self.text_until} is greater than hybrid_from, {self.hybrid_from}",
        )
        require(
            self.text_until < 1,
            "text_until: no training prompt would be hybrid, but validation prompts are; set prompt.hybrid: false",
        )
        done()


@section
class TrainingConfig:
    epochs: Count
    batch_size: Count
    gradient_accumulation_steps: Count
    learning_rate: Positive
    gate_lr_ratio: Positive  # the gate's learning rate, relative to `learning_rate`
    weight_decay: Amount
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)]
    max_grad_norm: Positive
    validate_every: Count  # updates; an interrupted training resumes from the last validation
    patience: Count
    gradient_checkpointing: bool
    curriculum: Curriculum


@section
class Ilora:
    """`folds` above 1: a row's list comes from a teacher and a sequence model that learned from other users alone."""

    base_weights: Literal["nf4", "bf16", "f32"]
    mixture: Mixture
    prompt: PromptConfig
    training: TrainingConfig
    per_token: bool  # compare candidates by the mean log-likelihood of an answer's tokens, not by the sum
    folds: Count


@section
class Tasks:
    """The pipeline's tasks for a teacher and the lists exported from them."""

    steps_per_user: Count  # newest steps of each training user that the teacher learns
    listed_steps: Count | Literal["all"]  # newest steps of each training user that students get a list of
    candidates: Count
    topk: Count  # items of each exported list

    def __post_init__(self) -> None:
        require, done = rules()
        require(self.topk <= self.candidates, f"topk: no more than candidates ({self.candidates}) can be exported")
        done()


@section
class IloraTeacher:
    """One teacher for each of `encoders`: methods of idrec.train whose user embedding is the input of the gate."""

    encoders: list[str]
    teacher: Ilora
    tasks: Tasks
