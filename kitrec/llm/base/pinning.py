"""Which base model a run stands on: where it is, at which revision, and the hash that adapters are tied to."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.llm.finetuning.params import Base

FILE = Path("models/base/base.json")


@dataclass(frozen=True)
class PinnedBase:
    """A base that cannot change unnoticed."""

    path: str
    revision: str | None
    fingerprint: str


def pin(base: Base) -> PinnedBase:
    """Look at the base: a folder is hashed, a hub name must carry a revision."""
    folder = Path(base.path)
    if not folder.is_dir():
        return PinnedBase(base.path, base.revision, f"{base.path}@{_revision(base)}")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights or not (folder / "config.json").is_file():
        raise InputError(
            f"base.path: {folder} holds no config.json with safetensors weights: `git checkout {folder}`, or rebuild it"
        )
    parts = [f"{path.name}\0{files.sha256(path)}" for path in [*weights, folder / "tokenizer.json"]]
    return PinnedBase(base.path, None, "sha256:" + hashlib.sha256("\n".join(parts).encode()).hexdigest())


def write_pinned(pinned: PinnedBase, path: Path = FILE) -> None:
    """Keep it for the stages that load the base."""
    files.write_json(asdict(pinned), path)


def read_pinned(path: Path = FILE) -> PinnedBase:
    """What `pin_base` found."""
    return PinnedBase(**files.read_json(path))


def _revision(base: Base) -> str:
    if base.revision is None:
        raise InputError(
            f"base.revision: {base.path} is no folder here, so it comes from the hub and must be pinned: "
            "run `kitrec doctor --pin`, which asks the hub for its revision and writes it into params.yaml"
        )
    return base.revision
