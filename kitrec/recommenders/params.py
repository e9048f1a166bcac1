"""The `idrec` section of params.yaml: models over item ids and how they are trained."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from kitrec.core.params import rules, section
from kitrec.recommenders.models import params as models

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


@section
class Loss:
    """ce: over all items. sampled_ce, gbce: negatives shared by the batch. bce: negatives drawn for each target."""

    kind: Literal["ce", "sampled_ce", "gbce", "bce"]
    negatives: Annotated[int, Field(ge=0)]
    calibration: Share

    def __post_init__(self) -> None:
        require, done = rules()
        sampled = self.kind in ("sampled_ce", "gbce", "bce")
        require(sampled == (self.negatives > 0), f"negatives: {self.kind} needs {'some' if sampled else '0'}")
        require(self.kind == "gbce" or self.calibration == 0, "calibration: only gbce has one, others need 0")
        done()


@section
class TrainingConfig:
    """`full_data` trains on everything: it has no validation and keeps its last epoch. `metric` of the validation
    selects the epoch (a student's at its own depth)."""

    mode: Literal["standard", "full_data"]
    epochs: Count
    batch_size: Count
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    schedule: Literal["constant", "linear", "cosine"]
    warmup_ratio: Share
    patience: Count
    validate_every: Count
    metric: Literal["ndcg@10", "hit@10", "mrr"]
    precision: Literal["32", "16-mixed"]


@section
class SequenceMethod:
    """A sequence model, the history it reads, its loss and its training."""

    history: Literal["target", "both"]
    model: models.SequenceModel
    loss: Loss
    training: TrainingConfig


@section
class CrossDomainMethod:
    """A model over two domains with a loss of its own; interactions rated `positive_rating` or higher are positives."""

    history: Literal["target", "both"]
    positive_rating: Annotated[float, Field(ge=1, le=5)]
    model: Annotated[models.CrossDomainModel, Field(discriminator="kind")]
    training: TrainingConfig


@section
class NonParametricMethod:
    """A model computed from the training interactions in closed form, without gradient training."""

    history: Literal["target", "both"]
    model: Annotated[models.NonParametricModel, Field(discriminator="kind")]


def _family(method: Any) -> str | None:
    """Return the family of a method from its model's kind; unknown kinds are reported as sequence models."""
    model = method.get("model") if isinstance(method, dict) else getattr(method, "model", None)
    kind = model.get("kind") if isinstance(model, dict) else getattr(model, "kind", None)
    if isinstance(kind, str) and kind in models.CROSS_DOMAIN_KINDS:
        return "cross_domain"
    return "non_parametric" if isinstance(kind, str) and kind in models.NON_PARAMETRIC_KINDS else "sequence"


RankingMethod = SequenceMethod | CrossDomainMethod | NonParametricMethod
AnyMethod = Annotated[
    Annotated[SequenceMethod, Tag("sequence")]
    | Annotated[CrossDomainMethod, Tag("cross_domain")]
    | Annotated[NonParametricMethod, Tag("non_parametric")],
    Discriminator(_family),
]


def selection_metric(p: RankingMethod) -> str:
    """Return the metric that selects a method's epoch and its setting."""
    return "ndcg@10" if isinstance(p, NonParametricMethod) else p.training.metric


@section
class IdRec:
    """`train_on`: the interactions shown in training records, or also the reviews of users without a role.
    `trials`: the number of settings tried for each method (kitrec/recommenders/search.py)."""

    train: list[str]
    train_on: Literal["records", "all_reviews"]
    pin_memory: bool
    trials: Count
    methods: dict[str, AnyMethod]

    def __post_init__(self) -> None:
        require, done = rules()
        for name in self.train:
            require(name in self.methods, f"train: there is no method {name!r}; there are {', '.join(self.methods)}")
        require(len(set(self.train)) == len(self.train), "train: a method is named twice")
        searched = {name: self.methods[name] for name in self.train if name in self.methods} if self.trials > 1 else {}
        for name, method in searched.items():
            validated = isinstance(method, NonParametricMethod) or method.training.mode == "standard"
            require(
                validated,
                f"trials: {name} has no validation to compare trials by, its training.mode is full_data; "
                "set trials: 1 or mode: standard",
            )
        done()
