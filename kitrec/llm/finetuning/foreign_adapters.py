"""Adapters that others trained: what their files hold, and whether they fit the base and the engine.

Only the header of the weights and the base's configuration are read."""

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.llm.base.params import MAX_LORA_RANK
from kitrec.llm.base.pinning import PinnedBase

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
LISTED = 3  # problems of one kind that an error lists
# Keys of PEFT's configuration that change what an adapter computes, and which vLLM does not serve.
UNSERVED = {
    "use_dora": "DoRA",
    "lora_bias": "LoRA with biases",
    "modules_to_save": "modules trained as a whole",
    "trainable_token_indices": "trained token embeddings",
    "target_parameters": "LoRA of single parameters",
    "layer_replication": "replicated layers",
    "alora_invocation_tokens": "activated LoRA",
    "arrow_config": "Arrow routing",
    "use_qalora": "QALoRA",
    "use_bdlora": "block-diagonal LoRA",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
}
INITS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")  # initial values alone: saved as plain LoRA
TENSOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight")
Shapes = Mapping[str, tuple[int, ...]]
Sides = dict[str, tuple[int, ...]]  # A [rank, in] and B [out, rank]


def require_safetensors(names: Collection[str], adapter: str) -> None:
    """Require an adapter's weights as safetensors among the names of its files, or say what to do."""
    if WEIGHTS in names:
        return
    if unsafe := sorted(name for name in names if name in ("adapter_model.bin", "adapter_model.pt")):
        raise InputError(
            f"{adapter} holds {unsafe[0]}, a format that may run code when it is read: ask its authors for {WEIGHTS}, "
            "or load it by PEFT on a machine you can lose and save it by `save_pretrained`"
        )
    if whole := sorted(name for name in names if name.endswith(".safetensors")):
        raise InputError(f"{adapter} holds a whole model ({whole[0]}), no adapter: set base.path to it, model to base")
    raise InputError(f"{adapter} holds no {WEIGHTS}: name a PEFT adapter, or the folder that holds it")


def read_config(folder: Path, name: str) -> dict[str, Any]:
    """Return PEFT's configuration of an adapter whose weights are safetensors; `name` stands in errors."""
    require_safetensors({path.name for path in folder.iterdir()}, name)
    if not (folder / CONFIG).is_file():
        raise InputError(f"{name} holds no {CONFIG}: fetch it too; rank and scale stand in it")
    config = files.read_json(folder / CONFIG)
    if not isinstance(config, dict) or config.get("peft_type") != "LORA" or not isinstance(config.get("r"), int):
        kind = config.get("peft_type") if isinstance(config, dict) else None
        raise InputError(f"{name}: {CONFIG} is of no LoRA adapter (peft_type {kind!r}); only plain LoRA can be used")
    return config


def read_shapes(folder: Path, name: str) -> dict[str, tuple[int, ...]]:
    """Return tensor name -> shape from the header of the weights."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / WEIGHTS, framework="pt") as weights:
            return {key: tuple(weights.get_slice(key).get_shape()) for key in weights.keys()}  # noqa: SIM118
    except SafetensorError as problem:
        raise InputError(f"{name}: {WEIGHTS} is damaged ({problem}): fetch it again") from None


def check_foreign(folder: Path, base: PinnedBase, name: str = "") -> dict[str, Any]:
    """Return the configuration with its largest rank and the adapted projections; refuse what cannot be served."""
    name = name or str(folder)
    config = read_config(folder, name)
    if problems := unserved(config):
        raise InputError(f"{name} cannot be used: {'; '.join(problems)}. Train it again as plain LoRA, or merge it")
    pairs, others = adapted_modules(read_shapes(folder, name))
    if others:
        raise InputError(
            f"{name} holds trained tensors beside LoRA's, which vLLM would leave out: {_first(others)}; embeddings, "
            "heads and whole modules cannot be served by an adapter"
        )
    ranks = [config["r"], *(config.get("rank_pattern") or {}).values()]
    if problems := _mismatches(pairs, linear_shapes(base), ranks):
        raise InputError(
            f"{name} does not fit the base {base.path}: {_first(problems)}; it names "
            f"{config.get('base_model_name_or_path')!r} as its base: set base.path to that"
        )
    modules = sorted({module.rpartition(".")[2] for module in pairs})
    return {**config, "r": max(ranks), "target_modules": modules}


def unserved(config: Mapping[str, Any]) -> list[str]:
    """Return what of a configuration neither the engine nor scoring can compute."""
    problems = [f"{label} ({key})" for key, label in UNSERVED.items() if config.get(key)]
    if config.get("bias", "none") != "none":
        problems.append("trained biases (bias)")
    init = config.get("init_lora_weights")
    if isinstance(init, str) and init.lower() not in INITS:
        problems.append(f"{init} changes the base's weights (init_lora_weights)")
    rank = max([config.get("r", 0), *(config.get("rank_pattern") or {}).values()])
    if rank > MAX_LORA_RANK:
        problems.append(f"rank {rank}; vLLM serves ranks up to {MAX_LORA_RANK} (r)")
    return problems


def adapted_modules(shapes: Shapes) -> tuple[dict[str, Sides], list[str]]:
    """Return module -> shapes of its A and B, and the names of all other tensors."""
    pairs: dict[str, Sides] = {}
    others = []
    for key, shape in sorted(shapes.items()):
        if match := TENSOR.fullmatch(key):
            pairs.setdefault(match["module"], {})[match["side"]] = shape
        else:
            others.append(key)
    return pairs, others


@lru_cache(maxsize=2)
def linear_shapes(base: PinnedBase) -> dict[str, tuple[int, int]]:
    """Return linear module -> (in, out) of the base but for its head, from its configuration alone."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from kitrec.llm.base.layers import linear_layers

    config = AutoConfig.from_pretrained(base.path, revision=base.revision, trust_remote_code=False)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    return {
        name: (module.in_features, module.out_features)
        for name, module in linear_layers(model).items()
        if isinstance(module, torch.nn.Linear)
    }


def _mismatches(pairs: Mapping[str, Sides], linear: Mapping[str, tuple[int, int]], ranks: list[int]) -> list[str]:
    problems = [] if pairs else ["it has no LoRA tensors"]
    for module, sides in pairs.items():
        if module not in linear:
            problems.append(f"the base has no {module}")
        elif {"A", "B"} - set(sides):
            problems.append(f"{module} lacks one of lora_A and lora_B")
        elif {len(shape) for shape in sides.values()} != {2}:
            problems.append(f"{module} was saved in parts, as a sharded run leaves it (shape {sides['A']})")
        else:
            (rank, width), (height, other) = sides["A"], sides["B"]
            if (width, height) != linear[module]:
                served = " to ".join(map(str, linear[module]))
                problems.append(f"{module} maps {width} to {height}, the base's maps {served}")
            elif rank != other or rank not in ranks:
                problems.append(f"{module} has rank {rank}, {CONFIG} says {ranks[0]}")
    return problems


def _first(problems: list[str]) -> str:
    more = len(problems) - LISTED
    return "; ".join(problems[:LISTED]) + (f" and {more} more" if more > 0 else "")
