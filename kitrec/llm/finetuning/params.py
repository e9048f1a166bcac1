"""Sections `train`, `launch`, `dualft` and `singleft` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from kitrec.core.params import rules, section
from kitrec.llm.base.params import MAX_LORA_RANK, Amount, Count, Positive, Share


@section
class Train:
    targets: Annotated[list[str], Field(min_length=1)]  # of domains.targets
    variants: Annotated[list[Literal["full", "direct"]], Field(min_length=1)]  # thinks first, or answers at once


@section
class FineTune:
    lora_rank: Count
    lora_alpha: Count
    lora_dropout: Share
    learning_rate: Positive
    epochs: Count
    batch_size: Count
    gradient_accumulation_steps: Count
    eval_batch_size: Count
    warmup_ratio: Share
    weight_decay: Amount
    label_smoothing: Share
    neftune_alpha: Amount
    max_grad_norm: Positive
    optimizer: Literal["adamw_torch_fused", "adamw_8bit"]
    gradient_checkpointing: bool
    logging_steps: Count
    eval_steps: Count
    save_steps: Count
    save_total_limit: Annotated[int, Field(ge=2)]
    early_stopping_patience: Count
    early_stopping_threshold: Amount

    def __post_init__(self) -> None:
        require, done = rules()
        require(self.lora_rank <= MAX_LORA_RANK, f"lora_rank: vLLM serves ranks up to {MAX_LORA_RANK}")
        require(
            self.save_steps % self.eval_steps == 0,
            f"save_steps ({self.save_steps}) must be a multiple of eval_steps ({self.eval_steps}): "
            "the best checkpoint is chosen by eval loss",
        )
        require(
            self.save_steps % self.logging_steps == 0,
            f"save_steps ({self.save_steps}) must be a multiple of logging_steps ({self.logging_steps}): "
            "a resumed run then logs the same curve",
        )
        done()


@section
class Launch:
    processes: Count
    sharding: Literal["none", "fsdp"]
    base_weights: Literal["nf4", "bf16"]
    dataloader_num_workers: Annotated[int, Field(ge=0)]
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
        """Whether the base's weights are spread over the processes instead of copied to each."""
        return self.sharding == "fsdp"
