"""What a provenance file says of one run: read from the workspace, or from git and DVC's cache for an experiment.

Nothing is computed or measured anew: the record gathers what params.yaml, code.yaml, dvc.lock, the metrics and the cost
ledgers say. docs/specification/provenance.md maps the questions of reproducibility audits to its keys."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.scm import resolve_rev
from fsspec import AbstractFileSystem
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from ruamel.yaml import YAML
from scmrepo.exceptions import SCMError
from scmrepo.git import Git

from kitrec.cli import runs
from kitrec.config import profiles
from kitrec.config.overlays import find_active, in_order, leaves
from kitrec.core import params
from kitrec.core.errors import InputError

NOT_RESULTS = ("metrics/cost/", "metrics/time/")  # clocks: they differ from run to run
BASE, SERVED = "models/base/base.json", "models/base/served.json"


@dataclass(frozen=True)
class RunFiles:
    """The files of a run: those of the workspace, or of an experiment or git revision."""

    name: str
    system: AbstractFileSystem

    def text(self, path: str) -> str | None:
        """Return the text of a file, None where the run has none or DVC's cache lacks it."""
        try:
            return self.system.read_text(path, encoding="utf-8")
        except runs.UNREADABLE:
            return None

    def required(self, path: str) -> str:
        """Return the text of a file without which there is no record."""
        text = self.text(path)
        if text is None:
            raise InputError(f"{self.name} has no {path}: run from the project's root, after `dvc repro evaluate`")
        return text

    def jsons(self, folder: str) -> dict[str, Any]:
        """Return path -> content of all JSON files of a folder."""
        paths = sorted(self.system.find(folder)) if self.system.exists(folder) else []
        return {path: json.loads(self.required(path)) for path in paths if path.endswith(".json")}


def open_run(name: str) -> RunFiles:
    """Open the files of a run."""
    if name == runs.WORKSPACE:
        return RunFiles(name, DirFileSystem(path=str(Path.cwd()), fs=LocalFileSystem()))
    return RunFiles(name, runs.files_of(name))


def run_record(run: RunFiles) -> dict[str, Any]:
    """Return everything that a provenance file says of a run."""
    lock = YAML(typ="safe").load(run.required("dvc.lock"))["stages"]
    ledgers = {Path(path).stem: ledger for path, ledger in run.jsons("metrics/cost").items()}
    metrics = {path: content for path, content in run.jsons("metrics").items() if not path.startswith(NOT_RESULTS)}
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "params.yaml"
        path.write_text(run.required("params.yaml"), encoding="utf-8")
        values, changed = leaves(params.read(path)), profiles.differences(path)
    return {
        "commit": _commit(run.name),
        "code": _code(lock, YAML(typ="safe").load(run.required("code.yaml"))),
        "params": {
            "profiles": in_order(find_active(values)),
            "differences": [dict(zip(("key", "shipped", "here", "by"), line, strict=True)) for line in changed],
            "values": values,
        },
        "seeds": {key: value for key, value in values.items() if key.split(".")[-1] in ("seed", "training_seed")},
        "data": {"statistics": metrics.get("metrics/data.json"), **_hashes(lock)},
        "base": _base(run, str(values["base.path"])),
        "hardware": _by_value(ledgers, "host"),
        "software": _by_value(ledgers, "versions"),
        "cost": _cost(ledgers),
        "results": metrics,
    }


def _commit(name: str) -> dict[str, Any]:
    """Return the commit, and which files of the workspace differ from it."""
    try:
        git = Git(".")
        if name != runs.WORKSPACE:
            return {"revision": resolve_rev(git, name), "dirty": False, "changed": []}
        staged, unstaged, untracked = git.status()
        changed = sorted({*(path for paths in staged.values() for path in paths), *unstaged, *untracked})
        return {"revision": git.get_rev(), "dirty": bool(changed), "changed": changed}
    except SCMError as problem:
        raise InputError(f"the commit of {name} is unknown ({problem}): run from the root of a git clone") from None


def _code(lock: Mapping[str, Any], now: Mapping[str, str]) -> dict[str, Any]:
    """Return the fingerprint that each stage ran with, and the stages whose code has changed since; the items of a
    matrix (`train_idrec@sasrec`) each with that of its last run."""
    code = {name: stage.get("params", {}).get("code.yaml", {}) for name, stage in lock.items()}
    ran = {name: each[_stage(name)] for name, each in code.items() if _stage(name) in each}
    return {"stages": ran, "changed_since": sorted(name for name in ran if ran[name] != now.get(_stage(name)))}


def _stage(name: str) -> str:
    """Return the stage of an item of a matrix, as code.yaml names it."""
    return name.partition("@")[0]


def _hashes(lock: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hashes of what no stage writes, and of what the stages write; clocks are left out."""
    outs = {out["path"]: out["md5"] for stage in lock.values() for out in stage.get("outs", [])}
    deps = {dep["path"]: dep["md5"] for stage in lock.values() for dep in stage.get("deps", [])}
    inputs = {path: md5 for path, md5 in deps.items() if not any(_overlap(path, out) for out in outs)}
    inputs.pop("params.yaml", None)  # its values are compared key by key
    return {"inputs": inputs, "outs": {path: md5 for path, md5 in outs.items() if not path.startswith(NOT_RESULTS)}}


def _overlap(first: str, second: str) -> bool:
    return f"{first}/".startswith(f"{second}/") or f"{second}/".startswith(f"{first}/")


def _base(run: RunFiles, path: str) -> dict[str, Any]:
    """Return the pinned base, the copy that is served, and what its folder says of its origin and licence."""
    pinned, served, origin = (run.text(name) for name in (BASE, SERVED, f"{path}/origin.json"))
    said = json.loads(origin) if origin else {}
    base = {"path": path, "revision": None, "fingerprint": None} | (json.loads(pinned) if pinned else {})
    return base | {"served": json.loads(served) if served else None, "licence": said.get("licence"), "origin": said}


def _by_value(ledgers: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Return each value of a key of the ledgers with the stages that ran under it."""
    stages: dict[str, list[str]] = {}
    for stage, ledger in ledgers.items():
        stages.setdefault(json.dumps(ledger[key]), []).append(stage)
    return [{**json.loads(value), "stages": names} for value, names in stages.items()]


def _cost(ledgers: Mapping[str, Any]) -> dict[str, Any]:
    stages = {
        stage: {key: value for key, value in ledger.items() if key not in ("host", "versions")}
        for stage, ledger in ledgers.items()
    }
    return {"seconds": round(sum(stage["seconds"] for stage in stages.values()), 2), "stages": stages}
