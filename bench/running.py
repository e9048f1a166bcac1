"""Command line, kept runs and peak memory of the benchmarks."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kitrec.core import files
from kitrec.core.errors import InputError


def start(main: Callable[[], None], about: str | None) -> None:
    """Run `main`; with any argument print the module's docstring instead and exit (2 unless help was asked for)."""
    if len(sys.argv) == 1:
        main()
    else:
        print(about)
        sys.exit(0 if sys.argv[1:] in (["-h"], ["--help"]) else 2)


def kept(path: Path, setting: dict[str, Any]) -> bool:
    """Return whether a run is there already; refuse one that was made with another setting."""
    if not path.exists():
        return False
    if files.read_json(path).get("setting") != setting:
        raise InputError(f"{path} was made with another setting: remove it, or give the new setting a name of its own")
    return True


def peak_above_now() -> Callable[[], int]:
    """Return a function that says by how many MiB the peak since now lies above what is held now (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the kernel's high-water mark
    held = _status("VmRSS")
    return lambda: round((_status("VmHWM") - held) / 1024)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
