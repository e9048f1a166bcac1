"""The cross-domain baselines as members of the `idrec` section: what each of them can be told."""

from typing import Annotated, Literal

from pydantic import Field

from kitrec.core.params import section

Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


@section
class CoNet:
    """`sparsity` is the weight of the cross units' L1: 0 is CoNet, more is SCoNet."""

    kind: Literal["conet"]
    hidden: Count
    layers: Annotated[list[Count], Field(min_length=1)]
    sparsity: Weight
    negatives: Count


@section
class DTCDR:
    """`weight` is the target's share of the loss; `titles` adds the text embedding."""

    kind: Literal["dtcdr"]
    hidden: Count
    layers: Annotated[list[Count], Field(min_length=1)]
    rating: Literal["neumf", "dmf"]
    combination: Literal["concat", "max", "mean"]
    titles: bool
    weight: Share
    negatives: Count


@section
class SSCDR:
    kind: Literal["sscdr"]
    hidden: Count
    margin: Annotated[float, Field(gt=0)]
    supervised: Weight
    unsupervised: Weight
    negatives: Count


@section
class BPRMF:
    kind: Literal["bpr_mf"]
    hidden: Count
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


Learned = CoNet | DTCDR | SSCDR | BPRMF
Counted = ItemKNN | EASE | RandomWalk | Popularity
LEARNED = frozenset({"conet", "dtcdr", "sscdr", "bpr_mf"})
COUNTED = frozenset({"item_knn", "ease", "random_walk", "popularity"})
