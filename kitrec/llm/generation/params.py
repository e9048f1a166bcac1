"""Sections `engine` and `infer` of params.yaml, and a method with the budgets of its base."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from kitrec.core.params import rules, section
from kitrec.llm.base.params import Amount, Count, Positive

TRAINED = ("full", "direct", "preferred")  # variants that stages train; other adapters are pulled or put under models/
FOLDER = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"


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
class Budgets:
    """What all methods of a base are given: tokens of a thought and of each item of an answer with its rationale.

    `answer_items`: the items that the base is asked for; an adapter answers one, as it was trained."""

    thought_tokens: Count
    item_tokens: Count
    answer_items: Count
    close_thoughts: bool  # a thought over its budget is closed, so that an answer follows


@section
class MethodParams:
    model: Annotated[str, Field(pattern=FOLDER)]  # a folder of adapters under models/, or base: no adapter
    steps: Literal["single", "llm4cdr"]
    thinking: bool
    temperature: Amount
    top_p: Annotated[float, Field(gt=0, le=1)]
    top_k: Annotated[int, Field(ge=0)]
    structured_outputs: bool

    def __post_init__(self) -> None:
        require, done = rules()
        require(
            self.model not in TRAINED or self.thinking == (self.model != "direct"),
            f"thinking: {self.thinking} does not fit model: {self.model}; adapters answer as they were trained",
        )
        require(
            self.steps == "single" or (self.model == "base" and not self.thinking),
            "steps: llm4cdr prompts the base in three steps, without a thought; set model: base and thinking: false",
        )
        done()


@section
class Infer:
    budgets: Budgets
    methods: dict[str, MethodParams]


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method with the budgets of its base; `thinking_budget` is null where no thought is closed."""

    model: str
    steps: str
    thinking: bool
    answer_items: int
    max_new_tokens: int
    thinking_budget: int | None
    temperature: float
    top_p: float
    top_k: int
    structured_outputs: bool

    @property
    def fine_tuned(self) -> bool:
        """Whether adapters answer, each user type by its own."""
        return self.model != "base"


def budgeted(p: MethodParams, budgets: Budgets) -> Method:
    """Return a method with what its base's budgets give it.

    A schema can only bind an answer that begins at a known place: a thought before it is always closed."""
    items = 1 if p.model != "base" else budgets.answer_items
    closed = p.thinking and (budgets.close_thoughts or p.structured_outputs)
    return Method(
        model=p.model,
        steps=p.steps,
        thinking=p.thinking,
        answer_items=items,
        max_new_tokens=p.thinking * budgets.thought_tokens + items * budgets.item_tokens,
        thinking_budget=budgets.thought_tokens if closed else None,
        temperature=p.temperature,
        top_p=p.top_p,
        top_k=p.top_k,
        structured_outputs=p.structured_outputs,
    )
