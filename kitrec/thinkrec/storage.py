"""A trained ThinkRec as a folder: an adapter a stage (as any LoRA), the projector, the groups.

text/           the general adapter            projector/   from vectors to the LLM; adapter/, where it moved with it
groups/group-0/ …   adapters of groups         groups/user2group.csv   who is in which"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import PeftModel

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.finetuning.adapters import ORIGIN, check_adapter, save_adapter
from kitrec.prompts.tokens import Encoder
from kitrec.thinkrec.adapter_mixture import Stack
from kitrec.thinkrec.groups import read_groups
from kitrec.thinkrec.model import ThinkModel
from kitrec.thinkrec.params import Objective
from kitrec.thinkrec.projector import Projector, load_projector, save_projector
from kitrec.thinkrec.prompt_composer import Composer
from kitrec.thinkrec.samples import verdicts
from kitrec.thinkrec.yes_no_ranking import Asker

GENERAL, GROUPS = "text", "groups"
PROJECTOR, USER2GROUP = "projector", "user2group.csv"
WEIGHTS, ADAPTER = "projector.safetensors", "adapter"


@dataclass(frozen=True)
class Trained:
    """What is there of a ThinkRec, ready to answer; `stack` has the general adapter first, then one a group."""

    model: ThinkModel
    groups: dict[str, int]
    stack: Stack | None

    @property
    def projector(self) -> Projector | None:
        """None where prompts show no vectors."""
        return self.model.projector

    def asker(self, composer: Composer, p: Objective) -> Asker:
        """Who answers prompts that look so."""
        return Asker(self.model, composer, p, self.stack)


def group_name(group: int) -> str:
    """The adapter, and its folder, of a group."""
    return f"group-{group}"


def adapter_folder(folder: Path, name: str, stage: str) -> Path:
    """Where an adapter lies after a stage."""
    if name != GENERAL:
        return folder / GROUPS / name
    moved = folder / PROJECTOR / ADAPTER
    return moved if stage != GENERAL and moved.is_dir() else folder / GENERAL


def save_stage(llm: PeftModel, name: str, tokenizer: Any, base: PinnedBase, told: dict[str, Any], folder: Path) -> None:
    """Write one adapter as a folder that transformers and vLLM load."""
    with tempfile.TemporaryDirectory() as draft:
        llm.save_pretrained(draft, selected_adapters=[name])
        own = Path(draft) / name
        save_adapter(own if own.is_dir() else Path(draft), tokenizer, base, told, folder)


def save_projected(
    projector: Projector, folder: Path, told: dict[str, Any], save_moved: Callable[[Path], None]
) -> None:
    """The projector, the adapter that moved with it, and which one both went on from: no other is taken with them."""
    with files.atomic(folder / PROJECTOR) as draft:
        draft.mkdir()
        save_projector(projector, draft / WEIGHTS)
        save_moved(draft / ADAPTER)
        files.write_json({**told, "adapter": _weights_of(folder / GENERAL)}, draft / ORIGIN)


def load_projected(folder: Path) -> Projector:
    """The projector that was trained on the general adapter beside it."""
    projector = load_projector(folder / PROJECTOR / WEIGHTS)
    if files.read_json(folder / PROJECTOR / ORIGIN)["adapter"] != _weights_of(folder / GENERAL):
        raise InputError(
            f"{folder / PROJECTOR} belongs to another adapter than {folder / GENERAL}: train stage `projector` again"
        )
    return projector


def projector_of(folder: Path) -> str:
    """Which projector there is, as groups remember it."""
    return files.sha256(folder / PROJECTOR / WEIGHTS)


def _check_groups(folder: Path) -> None:
    own = files.read_json(folder / GROUPS / group_name(0) / ORIGIN)
    if own.get("projector") != projector_of(folder):
        raise InputError(
            f"{folder / GROUPS} belongs to another projector than {folder / PROJECTOR}: train stage `groups` again"
        )


def _weights_of(adapter: Path) -> str:
    return files.sha256(adapter / "adapter_model.safetensors")


def load_trained(llm: Any, tokenizer: Any, base: PinnedBase, folder: Path, stage: str) -> Trained:
    """What is there after a stage, on a loaded base; before `groups` the general adapter answers everybody."""
    groups = read_groups(folder / GROUPS / USER2GROUP) if stage == "groups" else {}
    names = [GENERAL, *(group_name(group) for group in range(max(groups.values(), default=-1) + 1))]
    llm = load_adapters(llm, names, base, folder, stage)
    projector = None if stage == "text" else load_projected(folder).to(llm.device)
    if groups:
        _check_groups(folder)
    stack = Stack(llm, names) if len(names) > 1 else None
    llm.set_adapter(GENERAL)
    return Trained(ThinkModel(llm.eval(), projector, verdicts(Encoder(tokenizer))), groups, stack)


def load_adapters(llm: Any, names: Sequence[str], base: PinnedBase, folder: Path, stage: str) -> PeftModel:
    """A loaded base with these adapters beside each other, as a stage left them, the first one active."""
    for name in names:
        own = adapter_folder(folder, name, stage)
        if not own.is_dir():
            raise InputError(f"{own} is missing: train its stage first")
        check_adapter(own, base)
    first = adapter_folder(folder, names[0], stage)
    adapted = PeftModel.from_pretrained(llm, str(first), adapter_name=names[0], is_trainable=True)
    for name in names[1:]:
        adapted.load_adapter(str(adapter_folder(folder, name, stage)), name, is_trainable=True)
    return adapted
