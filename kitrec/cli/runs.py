"""Finished runs by name: the workspace, a folder, an experiment or a git revision; whether their seeds alone differ."""

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from scmrepo.exceptions import SCMError

from kitrec.config.overlays import leaves
from kitrec.core import params, tables
from kitrec.core.errors import InputError
from kitrec.schemas.scores import SCORES

WORKSPACE = "workspace"
CODE = Path("code.yaml")


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


@cache
def _files_of(revision: str) -> DVCFileSystem:
    """Return the files of a revision; to open one takes seconds."""
    return DVCFileSystem(".", rev=revision)


def file_of(run: str, path: Path) -> Path:
    """Return a file of a run; of a revision a copy, from git or from DVC's cache."""
    if run == WORKSPACE:
        return path
    if (Path(run) / params.FILE).is_file():
        return Path(run) / path
    copy = Path(".work/compared") / f"{run}-{path.name}".replace("/", "_")
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        _files_of(run).get_file(str(path), str(copy))
    except (DvcException, SCMError, FileNotFoundError) as problem:
        raise InputError(f"{run} has no {path}: {problem}; see `dvc exp show`, or run `dvc pull`") from None
    return copy
