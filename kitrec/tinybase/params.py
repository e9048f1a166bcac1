"""The `tiny_base` section of params.yaml: the shape of the small Qwen3 and how it is pre-trained."""

from typing import Annotated

from pydantic import Field

from kitrec.params import section
from kitrec.world.params import World

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


@section
class TinyBase:
    hidden: Count
    layers: Count
    heads: Count
    intermediate: Count
    query_norm: Positive
    max_positions: Count
    world: World
    worlds: Count
    users_per_type: Annotated[int, Field(ge=4)]
    candidates: Annotated[int, Field(ge=2)]
    batch: Count
    steps: Count
    learning_rate: Positive
