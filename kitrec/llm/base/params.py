"""Section `base` of params.yaml, the number types that sections of `kitrec.llm` share, and the layers LoRA adapts."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from kitrec.core.params import section

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Amount = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
MAX_LORA_RANK = 512  # the highest rank vLLM serves


@section
class Adapter:
    """LoRA of all linear layers but the head."""

    rank: Count
    alpha: Count
    dropout: Share


@section
class Base:
    path: str
    revision: str | None

    @property
    def is_local(self) -> bool:
        """Whether `path` is a folder on this machine; otherwise it is a name on the Hugging Face Hub."""
        return Path(self.path).is_dir()


@section
class BaseWithServed(Base):
    """The base that adapters are trained on, and a quantised copy of it that answers and scores in its place.

    Trainings know the base alone, so another copy to serve retrains nothing."""

    served: Base | None

    @property
    def serving(self) -> Base:
        """The weights that answer and score: the copy, or the base itself."""
        return self.served or self
