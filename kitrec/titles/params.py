"""Section `titles` of params.yaml: the base learns from titles alone, without lists of candidates in a prompt."""

from typing import Annotated, Literal

from pydantic import Field

from kitrec.core.params import rules, section
from kitrec.llm.base.params import Adapter, Amount, Count, Positive, Share

Updates = Annotated[int, Field(ge=0)]


ADAPTER = "titles"  # the name of the adapter beside the base


@section
class History:
    """What a model is shown of a user, in training and when it ranks."""

    items: Count  # the newest ones
    title_tokens: Count  # of each title; the rest is cut off
    source_only: Annotated[float, Field(ge=0, le=1)]  # share of training samples that show no target item


@section
class TitleTraining:
    """A training in rounds of `validate_every` updates, each validated and checkpointed; `updates` 0: left out."""

    updates: Updates
    validate_every: Count
    batch_size: Count  # users of an update (embedding: whose titles are all read)
    learning_rate: Positive
    warmup_ratio: Share
    weight_decay: Amount
    max_grad_norm: Positive
    patience: Count

    def __post_init__(self) -> None:
        require, done = rules()
        require(
            self.updates % self.validate_every == 0,
            f"updates ({self.updates}) must be a multiple of validate_every ({self.validate_every})",
        )
        done()


@section
class Embedding:
    """Histories and titles as vectors, by a contrastive loss: first the heads on frozen vectors, then the adapter."""

    kind: Literal["embedding"]
    base_weights: Literal["nf4", "bf16", "f32"]
    layers: Count | None  # the first ones of the base, which read titles; null: all
    history: History
    width: Count
    dropout: Share  # of title vectors
    adapter: Adapter
    heads_training: TitleTraining
    adapter_training: TitleTraining


@section
class Title:
    """Histories as text; candidates are ranked by the likelihood of their titles. No updates: zero-shot."""

    kind: Literal["title"]
    base_weights: Literal["nf4", "bf16", "f32"]
    history: History
    adapter: Adapter
    training: TitleTraining


@section
class Similarity:
    """Nothing is trained: candidates by the similarity of their titles to those shown. No encoder: TF-IDF."""

    kind: Literal["similarity"]
    encoder: str | None  # the folder of a sentence-transformers model
    items: Count  # the newest ones


AnyMethod = Embedding | Title | Similarity
TitleMethod = Annotated[AnyMethod, Field(discriminator="kind")]


@section
class Fusion:
    """Scores of a method of this section and of a recommender over item ids, weighed against each other."""

    titles: str
    recommender: str


@section
class Titles:
    train: list[str]
    fusions: dict[str, Fusion]
    methods: dict[str, TitleMethod]

    def __post_init__(self) -> None:
        require, done = rules()
        for name in self.train:
            require(name in self.methods, f"train: there is no method {name!r}; there are {', '.join(self.methods)}")
        done()
