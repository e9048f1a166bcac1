"""Read dvc.yaml: the body of each stage, the script its command runs, the sections."""

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]


def stages(root: Path = ROOT) -> dict[str, Any]:
    """Return stage name -> its body (for `foreach` stages the body under `do`)."""
    tree = YAML(typ="safe").load((root / "dvc.yaml").read_text(encoding="utf-8"))
    return {name: body.get("do", body) for name, body in tree["stages"].items()}


def sections(root: Path = ROOT) -> dict[str, list[str]]:
    """Return section heading -> its stages, as dvc.yaml lists them."""
    listed: dict[str, list[str]] = {}
    title = ""
    for line in (root / "dvc.yaml").read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"  # ---- (.+)", line):
            title = heading.group(1)
        elif stage := re.fullmatch(r"  (\w+):", line):
            listed.setdefault(title, []).append(stage.group(1))
    return listed


def stage_scripts(root: Path = ROOT) -> dict[str, str]:
    """Return stage name -> the script its command runs, which bears the stage's name."""
    scripts = {}
    for name, body in stages(root).items():
        match = re.search(r"-m stages\.(\w+)", body["cmd"])
        if match is None or match.group(1) != name:
            raise ValueError(f"dvc.yaml: {name} must run `python -m stages.{name}`, it runs `{body['cmd']}`")
        scripts[name] = f"stages/{name}.py"
    return scripts
