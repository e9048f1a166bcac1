"""Params keys that once had other names: an old file gets one error per key that tells the new name."""

from fnmatch import fnmatchcase

_TRAINING = {"batch": "batch_size", "warmup": "warmup_ratio"}
_MODEL = {"hidden": "hidden_size", "length": "max_length", "ahead": "num_targets", "weight": "target_weight"}
_FINE_TUNING = {
    "batch": "batch_size",
    "accumulation": "gradient_accumulation_steps",
    "eval_batch": "eval_batch_size",
    "log_every": "logging_steps",
    "eval_every": "eval_steps",
    "save_every": "save_steps",
    "keep_checkpoints": "save_total_limit",
    "patience": "early_stopping_patience",
    "threshold": "early_stopping_threshold",
}
_ENGINE = {
    "quantisation": "quantization",
    "tensor_parallel": "tensor_parallel_size",
    "max_parallel": "max_num_seqs",
    "memory_share": "gpu_memory_utilization",
    "shard": "shard_size",
}
_WORLD = {"books_read": "mean_books_per_user", "targets_seen": "mean_target_items_per_user"}


def _under(parents: str, names: dict[str, str]) -> dict[str, str]:
    return {f"{parents}.{old}": new for old, new in names.items()}


# Dotted key -> new name of its last part. Parents bear their new names; `*` matches any parents.
RENAMED_KEYS: dict[str, str] = {
    **_under("world", _WORLD),
    **_under("dualft", _FINE_TUNING),
    **_under("singleft", _FINE_TUNING),
    "launch.loader_workers": "dataloader_num_workers",
    **_under("engine", _ENGINE),
    **_under("thinkrec.scoring.engine", _ENGINE),
    "infer.methods.*.constrained": "structured_outputs",
    **_under(
        "preference",
        {
            "batch": "batch_size",
            "accumulation": "gradient_accumulation_steps",
            "generations": "num_generations",
            "log_every": "logging_steps",
        },
    ),
    "idrec.pinned_memory": "pin_memory",
    "*.course": "training",
    "idrec.methods.*.liked": "positive_rating",
    **_under("idrec.methods.*.training", _TRAINING),
    **_under("idrec.methods.*.model", _MODEL),
    **_under("distillation.*.training", _TRAINING),
    **_under("distillation.*.model", {old: new for old, new in _MODEL.items() if old != "weight"}),
    "distillation.made": "teachers_to_build",
    "distillation.ranked": "teachers_to_rank",
    "distillation.ensemble.length": "list_length",
    "distillation.settings.*.robust": "dros",
    "distillation.settings.*.gaps": "missing",
    "ilora.eyes": "encoders",
    "ilora.teacher.choice": "prompt",
    "ilora.teacher.prompt.history": "max_history",
    **_under(
        "ilora.teacher.training",
        {
            **_TRAINING,
            "accumulation": "gradient_accumulation_steps",
            "gate_rate": "gate_lr_ratio",
            "judge_every": "validate_every",
        },
    ),
    "ilora.teacher.mixture.gate.kept": "active_experts",
    "ilora.teacher.mixture.gate.hidden": "hidden_size",
    "ilora.tasks.steps": "steps_per_user",
    "ilora.tasks.top": "topk",
    "thinkrec.eyes": "encoders",
    "thinkrec.prompt.history": "history_length",
    "thinkrec.objective.reasoning": "reasoning_ratio",
    **_under(
        "thinkrec.stages.*.training",
        {**_TRAINING, "judge_every": "validate_every", "at_once": "micro_batch_size"},
    ),
    "thinkrec.stages.text.reflection.cases": "max_mistakes",
    "thinkrec.stages.projector.moves": "trainable",
    "evaluation.flips": "permutations",
    "evaluation.fewest": "min_users",
    "judge.per_type": "records_per_type",
    "judge.attempts": "max_attempts",
    "*.endpoint.at_once": "max_concurrency",
    "*.endpoint.limit": "budget",
    "*.endpoint.token_limit": "max_tokens_parameter",
    "tiny_base.intermediate": "intermediate_size",
    "tiny_base.max_positions": "max_position_embeddings",
    **_under("tiny_base.world", _WORLD),
    **_under(
        "tiny_base.phases",
        {
            "list_drills": "list_task_share",
            "history_drills": "history_task_share",
            "fewest_lines": "min_lines",
            "most_lines": "max_lines",
            "questions": "choices_per_list",
        },
    ),
}

# Dotted key -> the key that says the same today, for several of the old ones at once.
MOVED_KEYS: dict[str, str] = {
    "infer.methods.*.answer_items": "infer.budgets.answer_items",
    "infer.methods.*.max_new_tokens": "infer.budgets.item_tokens",
    "infer.methods.*.thinking_budget": "infer.budgets.thought_tokens",
}


def new_place(key: str) -> str | None:
    """Return the key that says today what a dotted key once said; None where it was not moved."""
    return next((place for pattern, place in MOVED_KEYS.items() if fnmatchcase(key, pattern)), None)


def new_name(key: str) -> str:
    """Return today's name of the last part of a dotted key."""
    for pattern, name in RENAMED_KEYS.items():
        if fnmatchcase(key, pattern):
            return name
    return key.rpartition(".")[2]
