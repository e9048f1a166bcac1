"""Finished runs by name: the workspace, a folder, an experiment or a git revision; whether their seeds alone differ."""

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc.scm import resolve_rev
from dvc_data.index import DataIndexError
from ruamel.yaml import YAML
from scmrepo.exceptions import SCMError
from scmrepo.git import Git

from kitrec.config.overlays import leaves
from kitrec.core import params, tables
from kitrec.core.errors import InputError
from kitrec.schemas.scores import SCORES

WORKSPACE = "workspace"
CODE = Path("code.yaml")
UNREADABLE = (FileNotFoundError, DvcException, DataIndexError)  # of files of a revision: not there, or not in the cache


def scores(run: str, which: str) -> pl.DataFrame:
    """Return the scores of a run on a test set."""
    return tables.read(file_of(run, Path(f"data/scores/set{which}.parquet")), SCORES)


def check_seeds_alone_differ(runs: Sequence[str]) -> list[int]:
    """Return the seeds of the runs' trainings; refuse other params or other code, and a run that is there twice."""
    settings, seeds = zip(*(_without_seeds(run) for run in runs), strict=True)
    for run, values in zip(runs[1:], settings[1:], strict=True):
        differing = sorted(key for key in {**values, **settings[0]} if values.get(key) != settings[0].get(key))
        if differing:
            raise InputError(
                f"{run} and {runs[0]} differ in {', '.join(differing)}: trainings of one method differ by their seed "
                "alone (`dvc exp run -S training_seed=…`); settings are compared by `kitrec compare`"
            )
    if len(set(seeds)) < len(seeds):
        raise InputError(f"seeds {', '.join(map(str, seeds))}: a training that is there twice is no second one")
    return list(seeds)


def check_separate(first: Sequence[str], second: Sequence[str]) -> None:
    """Refuse a training that is on both sides of a comparison, under one name or two: its test takes them for two."""
    settings = {run: (_without_seeds(run), _settings(run)["seed"]) for run in (*first, *second)}
    for run in first:
        for other in (name for name in second if settings[name] == settings[run]):
            raise InputError(
                f"{run} on the left and {other} on the right are one training (same params, code and seed): compare "
                "trainings of other seeds, or one run with one"
            )


def fingerprint(run: str) -> str:
    """Return a hash of the params and code of a run, without its seeds."""
    return sha256(repr(sorted(_without_seeds(run)[0].items())).encode()).hexdigest()[:16]


def _without_seeds(run: str) -> tuple[dict[str, Any], int]:
    """Return the settings of a run but for its seeds, and the seed of its trainings."""
    settings = _settings(run)
    seed, of_trainings = settings.pop("seed"), settings.pop("training_seed", None)
    return settings, int(seed if of_trainings is None else of_trainings)


def _settings(run: str) -> dict[str, Any]:
    """Return the leaves of params.yaml, and the fingerprint of each stage's code as `code.yaml: stage`."""
    code = {f"{CODE}: {stage}": value for stage, value in params.read(file_of(run, CODE)).items()}
    return dict(leaves(params.read(file_of(run, params.FILE)))) | code


def files_of(revision: str) -> DVCFileSystem:
    """Return the files of an experiment or git revision, from git and DVC's cache."""
    try:
        return _open(Path.cwd(), resolve_rev(Git("."), revision))
    except (DvcException, SCMError) as problem:
        raise InputError(f"{revision} is no experiment and no git revision: {problem}; see `dvc exp show`") from None


@cache
def _open(project: Path, commit: str) -> DVCFileSystem:
    """Return the files of a commit; to open one takes seconds."""
    return DVCFileSystem(str(project), rev=commit)


def file_of(run: str, path: Path) -> Path:
    """Return a file of a run; of a revision a copy, from git or from DVC's cache."""
    if run == WORKSPACE:
        return path
    if (Path(run) / params.FILE).is_file():
        return Path(run) / path
    copy = Path(".work/compared") / f"{run}-{path.name}".replace("/", "_")
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        files_of(run).get_file(str(path), str(copy))
    except UNREADABLE as problem:
        raise InputError(_absence(run, path, problem)) from None
    return copy


def _absence(run: str, path: Path, problem: Exception) -> str:
    """Return why a revision has no such file, and the way out: its run did not write it, or DVC's cache lacks it."""
    try:
        lock = YAML(typ="safe").load(files_of(run).read_text("dvc.lock", encoding="utf-8"))["stages"]
    except UNREADABLE:
        return f"{run} has no {path} and no dvc.lock: nothing was run there; `dvc exp show` lists the runs"
    outs = {Path(out["path"]): stage for stage, entry in lock.items() for out in entry.get("outs", [])}
    for place in (path, *path.parents):
        if place in outs:
            fetch, checkout = _ways_to(run, place)
            return (
                f"{run} has {path}, but DVC's cache lacks it: `{fetch}` fetches it where a remote has it; else "
                f"`{checkout}` and `dvc repro {outs[place]}` make it again"
            )
    return f"{run} has no {path}: its dvc.lock has no such output ({problem}); `dvc exp show` lists the runs"


def _ways_to(run: str, out: Path) -> tuple[str, str]:
    """Return the commands that fetch an out of a revision or experiment, and that check it out."""
    try:
        Git(".").resolve_rev(run)  # knows branches, tags and commits; names of experiments are DVC's
    except SCMError:
        return f"dvc exp pull REMOTE {run}", f"dvc exp apply {run}"
    return f"dvc fetch --all-commits {out}", f"git checkout {run}"
