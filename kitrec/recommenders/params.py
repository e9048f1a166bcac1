"""The `idrec` section of params.yaml: models that know items by their id, and how they learn."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from kitrec.core.params import rules, section
from kitrec.recommenders.models import params as crossdomain

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


@section
class SASRec:
    kind: Literal["sasrec"]
    hidden: Count
    heads: Count
    layers: Count
    length: Count
    dropout: Dropout

    def __post_init__(self) -> None:
        _heads_divide(self.hidden, self.heads)


@section
class Masking:
    """What BERT4Rec hides from itself: any place at `random`, then the last one at `last`."""

    random: Annotated[float, Field(gt=0, lt=1)]
    last: Share


@section
class Metadata:
    """What BERT4Rec knows of an item beside its number; a feature whose file is missing is switched off."""

    features: list[Literal["genre", "director", "writer", "title"]]
    fusion: Literal["gate", "concat", "add"]
    dropout: Dropout


@section
class BERT4Rec:
    kind: Literal["bert4rec"]
    hidden: Count
    heads: Count
    layers: Count
    length: Annotated[int, Field(ge=2)]
    dropout: Dropout
    masking: Masking
    share_embeddings: bool
    metadata: Metadata

    def __post_init__(self) -> None:
        _heads_divide(self.hidden, self.heads)


@section
class GRU4Rec:
    kind: Literal["gru4rec"]
    hidden: Count
    layers: Count
    length: Count
    dropout: Dropout


@section
class Caser:
    kind: Literal["caser"]
    hidden: Count
    length: Annotated[int, Field(ge=2)]
    ahead: Count
    horizontal: Count
    vertical: Count
    dropout: Dropout


Model = Annotated[SASRec | BERT4Rec | GRU4Rec | Caser, Field(discriminator="kind")]


@section
class Loss:
    """ce: over all items. sampled_ce, gbce: against negatives that a batch shares. bce: one negative a target."""

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
class Course:
    """One training: `full_data` learns from everything, has no validation and stops at its last epoch."""

    mode: Literal["standard", "full_data"]
    epochs: Count
    batch: Count
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    schedule: Literal["constant", "linear", "cosine"]
    warmup: Share
    patience: Count
    validate_every: Count
    precision: Literal["32", "16-mixed"]


@section
class Method:
    """One ranker: a model, what it reads of a reader, and how it learns."""

    history: Literal["target", "both"]
    model: Model
    loss: Loss
    course: Course


@section
class CrossDomain:
    """One ranker over two domains: each model has its own loss. Items of `liked` stars or more are its positives."""

    history: Literal["target", "both"]
    liked: Annotated[float, Field(ge=1, le=5)]
    model: Annotated[crossdomain.Learned, Field(discriminator="kind")]
    course: Course


@section
class Counted:
    """One ranker that is computed from what training saw, without a course."""

    history: Literal["target", "both"]
    model: Annotated[crossdomain.Counted, Field(discriminator="kind")]


def _family(method: Any) -> str | None:
    """Which of the three a method is, by its model's kind; what has none is told as a sequence model's fault."""
    model = method.get("model") if isinstance(method, dict) else getattr(method, "model", None)
    kind = model.get("kind") if isinstance(model, dict) else getattr(model, "kind", None)
    return "learned" if kind in crossdomain.LEARNED else "counted" if kind in crossdomain.COUNTED else "sequence"


Ranker = Method | CrossDomain | Counted
AnyMethod = Annotated[
    Annotated[Method, Tag("sequence")] | Annotated[CrossDomain, Tag("learned")] | Annotated[Counted, Tag("counted")],
    Discriminator(_family),
]


@section
class IdRec:
    """`train_on`: what the training records show, or every review of users without a role too. `trials`: how many
    settings of each method are tried (kitrec/recommenders/search.py)."""

    train: list[str]
    train_on: Literal["records", "all_reviews"]
    pinned_memory: bool
    trials: Count
    methods: dict[str, AnyMethod]

    def __post_init__(self) -> None:
        require, done = rules()
        for name in self.train:
            require(name in self.methods, f"train: there is no method {name!r}; there are {', '.join(self.methods)}")
        require(len(set(self.train)) == len(self.train), "train: a method is named twice")
        searched = {name: self.methods[name] for name in self.train if name in self.methods} if self.trials > 1 else {}
        for name, own in searched.items():
            judged = isinstance(own, Counted) or own.course.mode == "standard"
            require(
                judged, f"trials: nobody judges {name}, its course.mode is full_data; set trials: 1 or mode: standard"
            )
        done()


def _heads_divide(hidden: int, heads: int) -> None:
    require, done = rules()
    require(hidden % heads == 0, f"heads: {heads} does not divide hidden {hidden}; every head needs the same width")
    done()
