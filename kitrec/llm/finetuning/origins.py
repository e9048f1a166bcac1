"""Where adapters come from: `origin.json` beside their weights, and what is unknown of those that others trained."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kitrec.core import files
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.finetuning.foreign_adapters import (
    WEIGHTS,
    adapted_modules,
    linear_shapes,
    read_config,
    read_shapes,
)

ORIGIN = "origin.json"
# What training here writes down and foreign adapters do not say: data, lists, prompts, the form of answers.
UNKNOWN = ("records", "candidate_set", "candidates", "prompt", "answer")


def read_origin(folder: Path) -> dict[str, Any]:
    """Return the origin of an adapter; one without `origin.json` was trained elsewhere and put there."""
    if (folder / ORIGIN).is_file():
        origin: dict[str, Any] = files.read_json(folder / ORIGIN)
        return origin
    return foreign_origin(folder, None)


def foreign_origin(folder: Path, pulled: Mapping[str, str | None] | None) -> dict[str, Any]:
    """Return what is known of an adapter that others trained; null is what nobody says.

    `pulled`: source, commit and hash of the weights, where `kitrec hub pull-model` fetched it."""
    config = read_config(folder, str(folder))
    pairs, _ = adapted_modules(read_shapes(folder, str(folder)))
    return {
        "base": None,
        "foreign": True,
        "pulled": pulled,
        "base_model": config.get("base_model_name_or_path"),
        "rank": config["r"],
        "alpha": config.get("lora_alpha"),
        "rslora": bool(config.get("use_rslora")),
        "modules": sorted({module.rpartition(".")[2] for module in pairs}),
        **dict.fromkeys(UNKNOWN),
    }


def is_foreign(origin: Mapping[str, Any]) -> bool:
    """Return whether others trained the adapter, on data unknown here."""
    return origin.get("foreign") is True


def foreign_warnings(folders: Mapping[str, Path], base: PinnedBase) -> list[str]:
    """Return what is unsure of adapters that others trained: their training, their base, layers they leave out."""
    origins = {name: read_origin(folder) for name, folder in folders.items() if (folder / WEIGHTS).is_file()}
    foreign = {name: origin for name, origin in origins.items() if is_foreign(origin)}
    if not foreign:
        return []
    warnings = [
        f"{', '.join(foreign)}: trained elsewhere; training data, candidate lists, prompt and form of answers are "
        "unknown, so test users may have been trained on and prompts may differ from the learned ones"
    ]
    for named in sorted({str(origin["base_model"]) for origin in foreign.values()} - {base.path}):
        models = ", ".join(name for name, origin in foreign.items() if str(origin["base_model"]) == named)
        warnings.append(
            f"{models}: trained on {named!r}, served on {base.path}; their shapes agree, their weights may not"
        )
    return warnings + [line for name in foreign for line in _partial(name, folders[name], base)]


def _partial(name: str, folder: Path, base: PinnedBase) -> list[str]:
    """Return a warning where only some of the base's layers are adapted, as by an adapter of a smaller base."""
    pairs, _ = adapted_modules(read_shapes(folder, name))
    kinds = {module.rpartition(".")[2] for module in pairs}
    possible = sum(module.rpartition(".")[2] in kinds for module in linear_shapes(base))
    if len(pairs) == possible:
        return []
    return [f"{name}: adapts {len(pairs)} of the base's {possible} {', '.join(sorted(kinds))}; is it of this base?"]
