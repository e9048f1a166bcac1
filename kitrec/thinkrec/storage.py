"""A trained ThinkRec as a folder: one adapter per stage (an ordinary LoRA), the projector, the groups.

text/           the general adapter            projector/   the projector; adapter/, if it was trained with it
groups/group-0/ …   adapters of the groups     groups/user2group.csv   the group of each user"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import PeftModel

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.finetuning.adapters import check_adapter, save_adapter
from kitrec.llm.finetuning.origins import ORIGIN
from kitrec.prompts.tokens import Encoder
from kitrec.thinkrec.adapter_mixture import StackedAdapters
from kitrec.thinkrec.groups import read_groups
from kitrec.thinkrec.model import ThinkModel
from kitrec.thinkrec.params import Objective
from kitrec.thinkrec.projector import Projector, load_projector, save_projector
from kitrec.thinkrec.prompt_composer import PromptComposer
from kitrec.thinkrec.samples import verdict_tokens
from kitrec.thinkrec.yes_no_ranking import TransformersScorer

GENERAL, GROUPS = "text", "groups"
PROJECTOR, USER2GROUP = "projector", "user2group.csv"
WEIGHTS, ADAPTER = "projector.safetensors", "adapter"


@dataclass(frozen=True)
class TrainedStage:
    """The model of a stage, ready for scoring; `stack` has the general adapter first, then one per group."""

    model: ThinkModel
    groups: dict[str, int]
    stack: StackedAdapters | None

    @property
    def projector(self) -> Projector | None:
        """The projector; None if prompts show no vectors."""
        return self.model.projector

    def scorer(self, composer: PromptComposer, p: Objective) -> TransformersScorer:
        """Return the scorer of prompts by this composer."""
        return TransformersScorer(self.model, composer, p, self.stack)


def group_name(group: int) -> str:
    """Return the name of a group's adapter and folder."""
    return f"group-{group}"


def adapter_folder(folder: Path, name: str, stage: str) -> Path:
    """Return the folder of an adapter after a stage."""
    if name != GENERAL:
        return folder / GROUPS / name
    trained_along = folder / PROJECTOR / ADAPTER
    return trained_along if stage != GENERAL and trained_along.is_dir() else folder / GENERAL


def save_stage(
    llm: PeftModel, name: str, tokenizer: Any, base: PinnedBase, origin: dict[str, Any], folder: Path
) -> None:
    """Write one adapter as a folder that transformers and vLLM can load."""
    with tempfile.TemporaryDirectory() as draft:
        llm.save_pretrained(draft, selected_adapters=[name])
        subfolder = Path(draft) / name
        source = subfolder if subfolder.is_dir() else Path(draft)
        save_adapter(source, tokenizer, base, origin, folder)


def save_projected(
    projector: Projector, folder: Path, origin: dict[str, Any], save_trained_adapter: Callable[[Path], None]
) -> None:
    """Write the projector, the adapter trained with it, and the hash of the one both continue from: the projector is
    refused beside any other."""
    with files.atomic(folder / PROJECTOR) as draft:
        draft.mkdir()
        save_projector(projector, draft / WEIGHTS)
        save_trained_adapter(draft / ADAPTER)
        files.write_json({**origin, "adapter": _weights_of(folder / GENERAL)}, draft / ORIGIN)


def load_projected(folder: Path) -> Projector:
    """Load the projector that was trained on the general adapter beside it."""
    projector = load_projector(folder / PROJECTOR / WEIGHTS)
    if files.read_json(folder / PROJECTOR / ORIGIN)["adapter"] != _weights_of(folder / GENERAL):
        raise InputError(
            f"{folder / PROJECTOR} belongs to another adapter than {folder / GENERAL}: train stage `projector` again"
        )
    return projector


def projector_hash(folder: Path) -> str:
    """Return the hash of the projector, which groups record."""
    return files.sha256(folder / PROJECTOR / WEIGHTS)


def _check_groups(folder: Path) -> None:
    origin = files.read_json(folder / GROUPS / group_name(0) / ORIGIN)
    if origin.get("projector") != projector_hash(folder):
        raise InputError(
            f"{folder / GROUPS} belongs to another projector than {folder / PROJECTOR}: train stage `groups` again"
        )


def _weights_of(adapter: Path) -> str:
    return files.sha256(adapter / "adapter_model.safetensors")


def load_trained(llm: Any, tokenizer: Any, base: PinnedBase, folder: Path, stage: str) -> TrainedStage:
    """Load the model of a stage on a loaded base; before `groups` the general adapter answers for all users."""
    groups = read_groups(folder / GROUPS / USER2GROUP) if stage == "groups" else {}
    names = [GENERAL, *(group_name(group) for group in range(max(groups.values(), default=-1) + 1))]
    llm = load_adapters(llm, names, base, folder, stage)
    projector = None if stage == "text" else load_projected(folder).to(llm.device)
    if groups:
        _check_groups(folder)
    stack = StackedAdapters(llm, names) if len(names) > 1 else None
    llm.set_adapter(GENERAL)
    return TrainedStage(ThinkModel(llm.eval(), projector, verdict_tokens(Encoder(tokenizer))), groups, stack)


def load_adapters(llm: Any, names: Sequence[str], base: PinnedBase, folder: Path, stage: str) -> PeftModel:
    """Put these adapters of a stage on a loaded base, the first one active."""
    for name in names:
        path = adapter_folder(folder, name, stage)
        if not path.is_dir():
            raise InputError(f"{path} is missing: train its stage first")
        check_adapter(path, base)
    first = adapter_folder(folder, names[0], stage)
    adapted = PeftModel.from_pretrained(llm, str(first), adapter_name=names[0], is_trainable=True)
    for name in names[1:]:
        adapted.load_adapter(str(adapter_folder(folder, name, stage)), name, is_trainable=True)
    return adapted
