"""The teacher's params: how experts are mixed, what a prompt shows, how it learns, what it hands on."""

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
    kept: Count  # experts that speak


@section
class MLP:
    kind: Literal["mlp"]
    hidden: Count


@section
class Noisy:
    kind: Literal["noisy"]
    kept: Count


Gate = Annotated[Dense | TopK | MLP | Noisy, Field(discriminator="kind")]


@section
class Mixture:
    """LoRA of this rank in all, shared out among the experts."""

    experts: Count
    rank: Count
    alpha: Positive
    dropout: Annotated[float, Field(ge=0, lt=1)]
    gate: Gate

    def __post_init__(self) -> None:
        require, done = rules()
        require(
            self.rank % self.experts == 0,
            f"rank: {self.rank} is not shared out evenly among {self.experts} experts; make it a multiple",
        )
        if isinstance(self.gate, TopK | Noisy):
            require(
                self.gate.kept <= self.experts, f"gate.kept: {self.gate.kept} of {self.experts} experts; keep fewer"
            )
        done()


@section
class Choice:
    """What a prompt shows and asks for."""

    history: Count  # the newest items of a reader
    answer: Literal["title", "id"]
    hybrid: bool  # each known item with its word beside its text
    max_length: Count


@section
class Curriculum:
    """Prompts are text alone up to one share of the training, and all of them hybrid from another on."""

    text_until: Share
    hybrid_from: Share

    def __post_init__(self) -> None:
        require, done = rules()
        require(
            self.text_until <= self.hybrid_from,
            f"text_until: {self.text_until} lies behind hybrid_from, {self.hybrid_from}",
        )
        require(
            self.text_until < 1,
            "text_until: no prompt would be hybrid, and all are judged so; set choice.hybrid: false",
        )
        done()


@section
class Course:
    epochs: Count
    batch: Count
    accumulation: Count
    learning_rate: Positive
    gate_rate: Positive  # the gate's learning rate, in shares of the others'
    weight_decay: Amount
    warmup: Annotated[float, Field(ge=0, lt=1)]
    max_grad_norm: Positive
    judge_every: Count  # updates; a training that broke off goes on from there
    patience: Count
    gradient_checkpointing: bool
    curriculum: Curriculum


@section
class Ilora:
    base_weights: Literal["nf4", "bf16", "f32"]
    mixture: Mixture
    choice: Choice
    course: Course
    per_token: bool  # candidates compared by the mean over an answer's tokens, not by their sum


@section
class Export:
    top: Count  # items of a ranking that are handed on


@section
class Tasks:
    """What a teacher is asked in the pipeline."""

    steps: Count  # newest steps of each training reader
    candidates: Count
    top: Count  # items of a ranking that are handed on

    def __post_init__(self) -> None:
        require, done = rules()
        require(self.top <= self.candidates, f"top: no more than candidates ({self.candidates}) can be handed on")
        done()


@section
class IloraTeacher:
    """`eyes`: methods of idrec.train that open the gate of a teacher of their own."""

    eyes: list[str]
    teacher: Ilora
    tasks: Tasks
