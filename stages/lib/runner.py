"""The frame of every stage script: errors as one message, one living copy, a work folder that survives a kill, costs.

A stage does its work inside `with runner.running(...)`; `runner.start(main)` makes a command of it."""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from kitrec.core import files
from kitrec.core.errors import InputError
from stages.lib import cost
from stages.lib.fingerprints import check_fingerprint
from stages.lib.lock import only_copy

WORK = Path(".work")
WARNINGS_SHOWN = 10
NO_TERMINAL = not sys.stderr.isatty()  # no progress bars in a log file
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress bars.")]


@dataclass
class Run:
    """A running stage: its work folder (kept if the stage is killed, removed when it completes) and its costs."""

    work: Path
    resumed: bool
    cost: dict[str, Any] = field(default_factory=dict)


@contextmanager
def running(stage: str, item: str | None, *, reads: list[Path], params: list[Any]) -> Iterator[Run]:
    """Run a stage alone. The work folder belongs to exactly these inputs, params and code: any change starts anew."""
    name = f"{stage}-{item}" if item else stage
    code = check_fingerprint(stage)
    WORK.mkdir(exist_ok=True)
    with only_copy(name, WORK):
        missing = [str(path) for path in reads if not path.exists()]
        if missing:
            raise InputError(f"{name} needs {', '.join(missing)}: `dvc repro` writes it, or `dvc pull` fetches it")
        work = WORK / name / _key(code, reads, params)
        run = Run(work, resumed=work.exists())
        for outdated in set((WORK / name).glob("*")) - {work}:
            shutil.rmtree(outdated)
        work.mkdir(parents=True, exist_ok=True)
        yield run
        costs = {**cost.of_this_process(), "resumed": run.resumed, **run.cost, **cost.host_and_versions()}
        files.write_json(costs, Path("metrics/cost") / f"{name}.json")
        shutil.rmtree(work)


def warn(warnings: Sequence[str]) -> None:
    """Print the first warnings, and how many more there are."""
    more = [f"{len(warnings) - WARNINGS_SHOWN} more, in the stage's metrics"] if len(warnings) > WARNINGS_SHOWN else []
    for warning in [*warnings[:WARNINGS_SHOWN], *more]:
        print(f"WARNING: {warning}", file=sys.stderr)


def start(main: Callable[..., None]) -> None:
    """Run a stage's `main` as a command; an error the user can fix is one message and exit code 1."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(help=main.__doc__)(main)
    try:
        app()
    except InputError as problem:
        sys.exit(f"error: {problem}")
    except Exception as problem:  # a full disk is an error of another class in every library
        if not files.is_full_disk_error(problem):
            raise
        sys.exit("error: no space left on the disk: free some and run `dvc repro` again, it resumes")


def _key(code: str, reads: list[Path], params: list[Any]) -> str:
    """Return a hash of everything the stage's result depends on."""
    parts = [f"{path}\0{files.sha256(path)}" for path in sorted(reads)]
    parts += [code, json.dumps([repr(value) for value in params])]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
