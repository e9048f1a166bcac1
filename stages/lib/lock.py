"""One living copy of a stage: a killed `dvc` leaves its stage running, and two copies would share a work folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kitrec.core.errors import InputError


@contextmanager
def only_copy(name: str, folder: Path) -> Iterator[None]:
    """Hold the stage's lock, which dies with the process."""
    with (folder / f"{name}.lock").open("a+") as lock:
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
