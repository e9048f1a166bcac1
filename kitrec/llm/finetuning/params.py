"""Sections `base`, `train`, `launch`, `dualft` and `singleft` of params.yaml."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from kitrec.core.params import rules, section

HIGHEST_RANK = 512
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Amount = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


Variant = Literal["full", "direct"]  # thinks before it answers, or answers at once


@section
class Base:
    path: str
    revision: str | None

    @property
    def is_local(self) -> bool:
        """A folder here, or else a name on the Hugging Face Hub."""
        return Path(self.path).is_dir()


@section
class Train:
    targets: Annotated[list[Literal["movies", "music"]], Field(min_length=1)]
    variants: Annotated[list[Variant], Field(min_length=1)]


@section
class FineTune:
    lora_rank: Count
    lora_alpha: Count
    lora_dropout: Share
    learning_rate: Positive
    epochs: Count
    batch: Count
    accumulation: Count
    eval_batch: Count
    warmup_ratio: Share
    weight_decay: Amount
    label_smoothing: Share
    neftune_alpha: Amount
    max_grad_norm: Positive
    optimizer: Literal["adamw_torch_fused", "adamw_8bit"]
    gradient_checkpointing: bool
    log_every: Count
    eval_every: Count
    save_every: Count
    keep_checkpoints: Annotated[int, Field(ge=2)]
    patience: Count
    threshold: Amount

    def __post_init__(self) -> None:
        require, done = rules()
        require(self.lora_rank <= HIGHEST_RANK, f"lora_rank: vLLM serves ranks up to {HIGHEST_RANK}")
        require(
            self.save_every % self.eval_every == 0,
            f"save_every ({self.save_every}) must be a multiple of eval_every ({self.eval_every}): "
            "the best checkpoint is chosen by eval loss",
        )
        require(
            self.save_every % self.log_every == 0,
            f"save_every ({self.save_every}) must be a multiple of log_every ({self.log_every}): "
            "a resumed run then logs the same curve",
        )
        done()


@section
class Launch:
    processes: Count
    sharding: Literal["none", "fsdp"]
    base_weights: Literal["nf4", "bf16"]
    loader_workers: Annotated[int, Field(ge=0)]
    trackers: list[Literal["tensorboard", "wandb"]]

    def __post_init__(self) -> None:
        require, done = rules()
        require(
            self.processes > 1 or not self.sharded,
            "sharding: fsdp spreads one model over several processes; raise processes, or set sharding to none",
        )
        done()

    @property
    def sharded(self) -> bool:
        """Whether the base's weights are spread over the processes, instead of whole in each."""
        return self.sharding == "fsdp"
