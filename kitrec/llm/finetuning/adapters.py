"""Adapters on disk: PEFT's safetensors and configuration, the tokenizer, and the origin of their training."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.base.shape import quantisation_name, shape_fingerprint
from kitrec.llm.finetuning.foreign_adapters import check_foreign
from kitrec.llm.finetuning.origins import ORIGIN, foreign_warnings, is_foreign, read_origin


def save_adapter(checkpoint: Path, tokenizer: Any, base: PinnedBase, origin: dict[str, Any], folder: Path) -> None:
    """Write a checkpoint's adapter, the tokenizer and the origin to one folder: the same bytes for the same weights."""
    with files.atomic(folder) as draft:
        tokenizer.save_pretrained(draft)
        for name in ("adapter_model.safetensors", "adapter_config.json"):
            shutil.copyfile(checkpoint / name, draft / name)
        _make_stable(draft / "adapter_config.json", base)
        shape = shape_fingerprint(base, tokenizer)
        files.write_json({"base": base.fingerprint, "shape": shape, **origin}, draft / ORIGIN)


def check_adapter(folder: Path, base: PinnedBase) -> dict[str, Any]:
    """Return the adapter's configuration, or raise an error if it is incomplete or belongs to another base.

    A base that is quantised by its own configuration (AWQ, GPTQ, FP8) takes adapters of its twin of whole weights.
    An adapter that others trained names no fingerprint: its tensors are compared with the base's modules."""
    if not folder.is_dir():
        raise InputError(
            f"{folder} is missing: train it by `dvc repro`, fetch it by `dvc pull` or `kitrec hub pull-model`"
        )
    if (folder / ORIGIN).is_file() and not (folder / "adapter_model.safetensors").is_file():
        raise InputError(
            f"{folder} holds no adapter_model.safetensors: train it by `dvc repro`, or fetch it by `dvc pull`"
        )
    origin = read_origin(folder)
    if is_foreign(origin):
        return check_foreign(folder, base)
    if origin["base"] != base.fingerprint and not is_quantised_twin(origin.get("shape"), base):
        raise InputError(
            f"{folder} was trained on another base ({origin['base']}) than {base.path} ({base.fingerprint}), which is "
            "no quantised copy of its shape either: train it again by `dvc repro`, or point base.path at the base it "
            "belongs to"
        )
    return files.read_json(folder / "adapter_config.json")


def is_quantised_twin(shape: str | None, base: PinnedBase) -> bool:
    """Whether `base` is quantised and has the shape of the base that an adapter was trained on."""
    if shape is None or quantisation_name(base) is None:
        return False
    return shape_fingerprint(base, load_tokenizer(base)) == shape


def adapter_warnings(
    folders: Mapping[str, Path], base: PinnedBase, candidates: int, form: Mapping[str, Any]
) -> list[str]:
    """Return what is to be said before adapters answer prompts of a form, with lists of this many candidates."""
    return [
        *foreign_warnings(folders, base),
        *list_length_warnings(folders, candidates),
        *prompt_warnings(folders, form),
    ]


def list_length_warnings(folders: Mapping[str, Path], candidates: int) -> list[str]:
    """Return a warning for every adapter whose training prompts mostly showed another number of candidates."""
    counts = {name: read_origin(folder)["candidates"] for name, folder in folders.items()}
    return [
        f"{name} was trained on lists of {count} candidates and now has to rank {candidates}: its metrics say little "
        "about the method; raise prompt.max_length for training, or test on lists as long"
        for name, count in counts.items()
        if count not in (None, candidates)  # None: trained elsewhere, unknown
    ]


def prompt_warnings(folders: Mapping[str, Path], form: Mapping[str, Any]) -> list[str]:
    """Return a warning for every adapter that is known to have learned prompts of another form (`prompt` params)."""
    origins = {name: folder / ORIGIN for name, folder in folders.items()}
    learned = {name: files.read_json(path).get("prompt") for name, path in origins.items() if path.is_file()}
    return [
        f"{name} learned prompts of {known}, and now gets {dict(form)}: it answers prompts that it never met; set "
        "prompt.text, summaries, labels and answer_begins_with as in its training, or train it again"
        for name, known in learned.items()
        if known and known != form
    ]


def _make_stable(config_file: Path, base: PinnedBase) -> None:
    """Sort what PEFT writes in hash order and drop the machine's path, so that runs and clones write the same bytes."""
    config = json.loads(config_file.read_text(encoding="utf-8"))
    stable = {key: sorted(value) if key == "target_modules" else value for key, value in sorted(config.items())}
    files.write_json({**stable, "base_model_name_or_path": base.path}, config_file)
