"""Hyperparameters of every model in the `idrec` section."""

from typing import Annotated, Literal

from pydantic import Field

from kitrec.core.params import rules, section

Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


@section
class SASRec:
    kind: Literal["sasrec"]
    hidden_size: Count
    heads: Count
    layers: Count
    max_length: Count
    dropout: Dropout

    def __post_init__(self) -> None:
        _heads_divide(self.hidden_size, self.heads)


@section
class Masking:
    """Probabilities of BERT4Rec's masks: `random` for every position, then `last` for the last one."""

    random: Annotated[float, Field(gt=0, lt=1)]
    last: Share


@section
class Metadata:
    """Item metadata that BERT4Rec fuses into its embeddings; a feature whose file is missing is switched off."""

    features: list[Literal["genre", "director", "writer", "title"]]
    fusion: Literal["gate", "concat", "add"]
    dropout: Dropout


@section
class BERT4Rec:
    kind: Literal["bert4rec"]
    hidden_size: Count
    heads: Count
    layers: Count
    max_length: Annotated[int, Field(ge=2)]
    dropout: Dropout
    masking: Masking
    share_embeddings: bool
    metadata: Metadata

    def __post_init__(self) -> None:
        _heads_divide(self.hidden_size, self.heads)


@section
class GRU4Rec:
    kind: Literal["gru4rec"]
    hidden_size: Count
    layers: Count
    max_length: Count
    dropout: Dropout


@section
class Caser:
    """`num_targets`: how many of the next items a window predicts; `horizontal` and `vertical`: numbers of filters."""

    kind: Literal["caser"]
    hidden_size: Count
    max_length: Annotated[int, Field(ge=2)]
    num_targets: Count
    horizontal: Count
    vertical: Count
    dropout: Dropout


@section
class CoNet:
    """`sparsity` weighs the L1 norm of the cross units: 0 is CoNet, more is SCoNet."""

    kind: Literal["conet"]
    hidden_size: Count
    layers: Annotated[list[Count], Field(min_length=1)]
    sparsity: Weight
    negatives: Count


@section
class DTCDR:
    """`target_weight` is the target domain's share of the loss; `titles` adds the text embedding."""

    kind: Literal["dtcdr"]
    hidden_size: Count
    layers: Annotated[list[Count], Field(min_length=1)]
    rating: Literal["neumf", "dmf"]
    combination: Literal["concat", "max", "mean"]
    titles: bool
    target_weight: Share
    negatives: Count


@section
class SSCDR:
    """`supervised` and `unsupervised` weigh the two losses of the mapping."""

    kind: Literal["sscdr"]
    hidden_size: Count
    margin: Annotated[float, Field(gt=0)]
    supervised: Weight
    unsupervised: Weight
    negatives: Count


@section
class BPRMF:
    kind: Literal["bpr_mf"]
    hidden_size: Count
    negatives: Count


@section
class ItemKNN:
    kind: Literal["item_knn"]
    neighbours: Count
    shrink: Weight


@section
class EASE:
    kind: Literal["ease"]
    rank: Count
    penalty: Annotated[float, Field(gt=0)]


@section
class RandomWalk:
    kind: Literal["random_walk"]
    alpha: Annotated[float, Field(gt=0)]
    hops: Count


@section
class Popularity:
    kind: Literal["popularity"]


SequenceModel = Annotated[SASRec | BERT4Rec | GRU4Rec | Caser, Field(discriminator="kind")]
CrossDomainModel = CoNet | DTCDR | SSCDR | BPRMF
NonParametricModel = ItemKNN | EASE | RandomWalk | Popularity
CROSS_DOMAIN_KINDS = frozenset({"conet", "dtcdr", "sscdr", "bpr_mf"})
NON_PARAMETRIC_KINDS = frozenset({"item_knn", "ease", "random_walk", "popularity"})


def _heads_divide(hidden_size: int, heads: int) -> None:
    require, done = rules()
    require(
        hidden_size % heads == 0,
        f"heads: {heads} does not divide hidden_size {hidden_size}; every head needs the same width",
    )
    done()
