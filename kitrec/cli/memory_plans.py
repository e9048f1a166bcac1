"""The memory plan of every stage that loads the base, from params.yaml: what `kitrec doctor --gpu` shows."""

from collections.abc import Mapping
from typing import Any

from kitrec.ilora.training import teacher_load
from kitrec.llm.base.memory_plan import (
    MemoryPlan,
    ModelSize,
    TrainingLoad,
    model_size,
    reading_plan,
    training_plan,
)
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.finetuning.arguments import training_load
from kitrec.llm.generation.engine_memory import serving_plan
from kitrec.llm.generation.params import Engine
from kitrec.llm.likelihood.scorers import scores_through_engine
from kitrec.thinkrec import stage_training as thinkrec

ADAPTERS = 4  # of a variant: DualFT and SingleFT for each target


def stage_plans(
    s: Mapping[str, Any], base: PinnedBase, size: ModelSize, device: float, served: PinnedBase | None = None
) -> dict[str, MemoryPlan]:
    """Return stage -> plan, of the stages that these params switch on; training at its configured micro-batch.

    `served`: the copy that answers and scores, where that is not the base itself."""
    engine: Engine = s["engine"]
    length, rank = s["prompt"].max_length, max(s["dualft"].lora_rank, s["singleft"].lora_rank)
    serving = serving_plan(model_size(served) if served else size, engine, ADAPTERS, rank, device)
    scoring = serving
    if not scores_through_engine(served or base, engine):
        scoring = reading_plan(size, engine.dtype, ADAPTERS, rank, device)
    plans = {
        f"train_{name}": training_plan(size, training_load(s[name], s["launch"], length), device)
        for name in ("dualft", "singleft")
    }
    plans |= {"infer_vllm": serving, "score_candidates": scoring}
    if s["rationales"].methods:
        plans["score_rationales"] = scoring
    plans |= {stage: training_plan(size, load, device) for stage, load in _other_trainings(s).items()}
    if s["ilora"].encoders:
        plans["infer_teacher"] = reading_plan(size, s["ilora"].teacher.base_weights, 1, rank, device)
    if s["thinkrec"].train:
        plans["infer_thinkrec"] = reading_plan(size, s["thinkrec"].base_weights, 1, rank, device)
    return plans


def _other_trainings(s: Mapping[str, Any]) -> dict[str, TrainingLoad]:
    """Return what the trainings that are off by default keep on a device."""
    loads = {}
    if s["preference"].models:
        p, rank = s["preference"], s["dualft"].lora_rank
        sequences = 2 * p.batch_size if p.method == "dpo" else p.batch_size
        length = s["prompt"].max_length
        loads["train_preference"] = TrainingLoad("nf4", rank, sequences, length, True, whole_logits=True)
    if s["ilora"].encoders:
        loads["train_teacher_ilora"] = teacher_load(s["ilora"].teacher)
    t = s["thinkrec"]
    for stage in t.train:
        training = getattr(t.stages, stage).training
        loads[f"train_thinkrec@{stage}"] = thinkrec.training_load(t.base_weights, t.prompt, training)
    return loads
