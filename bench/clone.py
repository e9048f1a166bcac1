"""Fresh copies of this checkout to run the pipeline in, and hashes of its results."""

import os
import subprocess
from pathlib import Path

from kitrec.core import files

ROOT = Path(__file__).resolve().parents[1]
_AUTHOR = {f"GIT_{role}_{key}": "bench@example.org" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
ENVIRONMENT = {**os.environ, **_AUTHOR, "DVC_NO_ANALYTICS": "1"}


def make_clone(folder: Path, profiles: list[str]) -> None:
    """Copy what git knows (and what it would add), apply the profiles, commit."""
    listed = _git("ls-files", "-co", "--exclude-standard", "-z", where=ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    if (ROOT / PAGE).exists():
        (folder / PAGE).write_bytes((ROOT / PAGE).read_bytes())
    if profiles:
        subprocess.run(["kitrec", "profile", "use", *profiles], cwd=folder, env=ENVIRONMENT, check=True, stdout=-3)
    _git("init", "-q", where=folder)
    _git("add", "-A", where=folder)
    _git("commit", "-qm", "clone", where=folder)


PAGE = ".dvc/plots_page.html"


def results(folder: Path) -> dict[str, str]:
    """Return the hash of every out, quality metric and plot; costs are left out."""
    roots = [folder / name for name in ("data", "models", "metrics", "plots")]
    paths = [path for root in roots for path in root.rglob("*") if path.is_file() and "metrics/cost" not in str(path)]
    return {str(path.relative_to(folder)): files.sha256(path) for path in paths if path.name != ".gitignore"}


def _git(*arguments: str, where: Path) -> str:
    run = subprocess.run(["git", *arguments], cwd=where, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return run.stdout
