"""A trained ThinkRec as a folder: an adapter a stage (as any LoRA), the projector, the groups.

text/        the general adapter            projector.safetensors   from vectors to the LLM
group-0/ …   adapters of groups             user2group.csv          who is in which"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import PeftModel

from kitrec.errors import InputError
from kitrec.llm.adapters import check_adapter, save_adapter
from kitrec.llm.pinned_base import PinnedBase
from kitrec.prompts.tokens import Encoder
from kitrec.thinkrec.groups import read_groups
from kitrec.thinkrec.mixture import Stack
from kitrec.thinkrec.model import ThinkModel
from kitrec.thinkrec.projector import load_projector
from kitrec.thinkrec.samples import verdicts

GENERAL, PROJECTOR, USER2GROUP = "text", "projector.safetensors", "user2group.csv"


@dataclass(frozen=True)
class Trained:
    """What is there of a ThinkRec, ready to answer; `stack` has the general adapter first, then one a group."""

    model: ThinkModel
    groups: dict[str, int]
    stack: Stack | None


def group_name(group: int) -> str:
    """The adapter, and its folder, of a group."""
    return f"group-{group}"


def save_stage(llm: PeftModel, name: str, tokenizer: Any, base: PinnedBase, told: dict[str, Any], folder: Path) -> None:
    """Write one adapter as a folder that transformers and vLLM load."""
    with tempfile.TemporaryDirectory() as draft:
        llm.save_pretrained(draft, selected_adapters=[name])
        own = Path(draft) / name
        save_adapter(own if own.is_dir() else Path(draft), tokenizer, base, told, folder)


def load_trained(llm: Any, tokenizer: Any, base: PinnedBase, folder: Path) -> Trained:
    """The adapters of a folder on a loaded base; without groups the general adapter answers everybody."""
    groups = read_groups(folder / USER2GROUP) if (folder / USER2GROUP).exists() else {}
    names = [GENERAL, *(group_name(group) for group in range(max(groups.values(), default=-1) + 1))]
    llm = load_adapters(llm, names, base, folder)
    path = folder / PROJECTOR
    projector = load_projector(path).to(llm.device) if path.exists() else None
    stack = Stack(llm, names) if len(names) > 1 else None
    llm.set_adapter(GENERAL)
    return Trained(ThinkModel(llm.eval(), projector, verdicts(Encoder(tokenizer))), groups, stack)


def load_adapters(llm: Any, names: Sequence[str], base: PinnedBase, folder: Path) -> PeftModel:
    """A loaded base with these adapters beside each other, the first one active."""
    for name in names:
        if not (folder / name).is_dir():
            raise InputError(f"{folder / name} is missing: train its stage first")
        check_adapter(folder / name, base)
    adapted = PeftModel.from_pretrained(llm, str(folder / names[0]), adapter_name=names[0], is_trainable=True)
    for name in names[1:]:
        adapted.load_adapter(str(folder / name), name, is_trainable=True)
    return adapted
