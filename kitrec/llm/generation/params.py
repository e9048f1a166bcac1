"""Sections `engine` and `infer` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from kitrec.core.params import rules, section
from kitrec.llm.base.params import Amount, Count, Positive


@section
class Engine:
    dtype: Literal["bfloat16", "float32"]
    quantization: Literal["none", "fp8"]
    tensor_parallel_size: Count
    replicas: Count
    placement: Literal["processes", "ray"]
    max_model_len: Annotated[int, Field(ge=256)]
    max_num_seqs: Count
    kv_cache_gib: Positive
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)]
    shard_size: Count


@section
class Method:
    model: Literal["full", "direct", "preferred", "base"]  # a folder of adapters under models/, or no adapter
    steps: Literal["single", "llm4cdr"]
    thinking: bool
    answer_items: Count
    max_new_tokens: Count
    thinking_budget: Annotated[int, Field(ge=1)] | None
    temperature: Amount
    top_p: Annotated[float, Field(gt=0, le=1)]
    top_k: Annotated[int, Field(ge=0)]
    structured_outputs: bool

    def __post_init__(self) -> None:
        require, done = rules()
        require(
            self.model == "base" or self.thinking == (self.model != "direct"),
            f"thinking: {self.thinking} does not fit model: {self.model}; adapters answer as they were trained",
        )
        require(
            self.steps == "single" or (self.model == "base" and not self.thinking),
            "steps: llm4cdr prompts the base in three steps, without a thought; set model: base and thinking: false",
        )
        require(
            self.thinking_budget is None or self.thinking,
            "thinking_budget: there is no thought to limit; set it to null, or thinking to true",
        )
        require(
            self.thinking_budget is None or self.thinking_budget < self.max_new_tokens,
            f"thinking_budget: {self.thinking_budget} leaves no token of max_new_tokens, {self.max_new_tokens}",
        )
        require(
            not (self.structured_outputs and self.thinking) or self.thinking_budget is not None,
            "structured_outputs: a thought that never ends would leave the answer no token; set thinking_budget",
        )
        done()

    @property
    def fine_tuned(self) -> bool:
        """Whether adapters answer, each user type by its own."""
        return self.model != "base"


@section
class Infer:
    methods: dict[str, Method]
