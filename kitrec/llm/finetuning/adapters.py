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
from kitrec.prompts.answer_head import AnswerForm

ORIGIN = "origin.json"


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

    A base that is quantised by its own configuration (AWQ, GPTQ, FP8) takes adapters of its twin of whole weights."""
    if not (folder / "adapter_model.safetensors").is_file():
        raise InputError(
            f"{folder} holds no adapter_model.safetensors: train it by `dvc repro`, or fetch it by `dvc pull`"
        )
    origin = files.read_json(folder / ORIGIN)
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


def list_length_warnings(folders: Mapping[str, Path], candidates: int) -> list[str]:
    """Return a warning for every adapter whose training prompts mostly showed another number of candidates."""
    counts = {name: files.read_json(folder / ORIGIN)["candidates"] for name, folder in folders.items()}
    return [
        f"{name} was trained on lists of {count} candidates and now has to rank {candidates}: its metrics say little "
        "about the method; raise prompt.max_length for training, or test on lists as long"
        for name, count in counts.items()
        if count != candidates
    ]


def prompt_warnings(folders: Mapping[str, Path], form: Mapping[str, Any]) -> list[str]:
    """Return a warning for every adapter that is known to have learned prompts of another form (`prompt` params)."""
    origins = {name: folder / ORIGIN for name, folder in folders.items()}
    learned = {name: files.read_json(path).get("prompt") for name, path in origins.items() if path.is_file()}
    return [
        f"{name} learned prompts of {known}, and now gets {dict(form)}: it answers prompts that it never met; set "
        "prompt.text, prompt.summaries and prompt.labels as in its training, or train it again"
        for name, known in learned.items()
        if known and known != form
    ]


def answer_forms(folders: Mapping[str, Path]) -> dict[str, AnswerForm]:
    """Return how the answers of every adapter begin, where that is known."""
    origins = {name: files.read_json(folder / ORIGIN) for name, folder in folders.items()}
    known = {name: origin["answer"] for name, origin in origins.items() if "answer" in origin}
    return {name: AnswerForm(answer["opening"], answer["after"]) for name, answer in known.items()}


def _make_stable(config_file: Path, base: PinnedBase) -> None:
    """Sort what PEFT writes in hash order and drop the machine's path, so that runs and clones write the same bytes."""
    config = json.loads(config_file.read_text(encoding="utf-8"))
    stable = {key: sorted(value) if key == "target_modules" else value for key, value in sorted(config.items())}
    files.write_json({**stable, "base_model_name_or_path": base.path}, config_file)
