"""What a model of `kitrec fit` was trained on, by its report.json, and whether a folder may take another model."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.recommenders.data.interaction_files import Interactions
from kitrec.recommenders.params import SequenceMethod

REPORT = "report.json"
SHOWN = 8  # differences in a message
SHA256 = 64  # characters


def describe_data(
    path: Path, read: Interactions, columns: Mapping[str, str], metadata: Mapping[str, Path]
) -> dict[str, Any]:
    """Return the files by name and content hash, the rules they were read by, and what was counted."""
    return {
        "file": path.name,
        "sha256": files.sha256(path),
        "columns": dict(columns),
        "repeats": read.repeats,
        "k_core": read.counts.get("k_core", {}).get("k", 0),
        "min_interactions": read.counts["min_interactions"]["minimum"],
        "metadata": {name: files.sha256(file) for name, file in metadata.items()},
        "counts": {"users": len(read.users), "items": len(read.vocabulary), **read.counts},
    }


def describe(data: Mapping[str, Any], method: str, p: SequenceMethod, seed: int, negatives: int) -> dict[str, Any]:
    """Return the head of a report."""
    return {"data": dict(data), "method": method, "settings": asdict(p), "seed": seed, "negatives": negatives}


def check_layout(to: Path, *, several: bool) -> None:
    """Refuse to mix a folder's own model with folders of several methods."""
    if any(to.glob("best-*" if several else "*/best-*")):
        holds = "a single model" if several else "models of several methods"
        raise InputError(f"{to} holds {holds}: name another folder")


def check_folder(to: Path, about: Mapping[str, Any], training: str, *, overwrite: bool) -> str:
    """Return a notice about what is already in a folder; refuse to replace a model of other data or settings.

    `training` names the folder's checkpoint of the training that is described."""
    if not (to / REPORT).exists():
        if any(to.glob("best-*")) and not ((to / training).exists() or overwrite):
            raise InputError(
                f"{to} holds a model without a {REPORT}, of unknown data: name another folder, or add --overwrite"
            )
        outdated = any(path.name != training for path in to.glob("training-*"))
        return f"{to}: removing the checkpoint of an unfinished training with other data or settings" * outdated
    differences = _differences(files.read_json(to / REPORT), about)
    if not differences:
        return f"{to} already holds this model, of the same data, settings and seed: only its evaluation is repeated"
    if overwrite:
        return f"{to}: replacing a model of other data or settings ({'; '.join(differences)})"
    more = f"\n  and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
    listed = "".join(f"\n  - {difference}" for difference in differences[:SHOWN])
    raise InputError(
        f"{to} holds a model of other data or settings: name another folder, or add --overwrite{listed}{more}"
    )


def _differences(report: Mapping[str, Any], about: Mapping[str, Any]) -> list[str]:
    before, now = _identity(report), _identity(about)
    return [
        f"{name}: {_short(before.get(name))} there, {_short(now.get(name))} here"
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    ]


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text[:12] if len(text) == SHA256 else text


def _identity(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes a model another one, as dotted keys; not the file's name and how often it was evaluated."""
    data = {name: value for name, value in report.get("data", {}).items() if name not in ("file", "counts")}
    return _leaves({"data": data, **{name: report.get(name) for name in ("method", "settings", "seed")}})


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _leaves(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
