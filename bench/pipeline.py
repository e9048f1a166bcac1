"""Time and bytes of the default run in two fresh clones, in turn.   make bench-pipeline   (about twice `make repro`)

Measures: seconds of what `make repro` runs after set-up, of the `dvc repro` that has nothing to do, peak memory of a
process and of all together, and whether both clones, and this checkout if it has been run, hold the same bytes."""

import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.claims import Claim, at_most, publish
from bench.clone import ENVIRONMENT, ROOT, make_clone, results
from bench.running import start
from kitrec.core import files

COMMAND = "make bench-pipeline"
TARGETS = ["evaluate", "analyse", "judge", "probe_orders", "evaluate_memory"]
REPRO = ["dvc", "repro", *TARGETS]
FIRST_RUN = [[sys.executable, "-m", "stages.lib.lanes", *TARGETS], REPRO]


@dataclass(frozen=True)
class Cost:
    """What some commands took; memory is each process's own, without pages that others share."""

    seconds: float
    largest_mib: float
    together_mib: float


def main() -> None:
    """Run, compare and publish."""
    with tempfile.TemporaryDirectory() as temporary:
        folders = [Path(temporary) / name for name in ("first", "second")]
        runs, idle = [], []
        for folder in folders:
            make_clone(folder, [])
            runs.append(_run(folder, FIRST_RUN))
            idle += [_run(folder, [REPRO]).seconds for _ in range(3)]
        first, second = map(results, folders)
        differing = {"the two clones": _differing(first, second)}
        if (ROOT / "data/scores").exists():
            differing["a clone and this checkout"] = _differing(first, results(ROOT))
        costs = {path.stem: files.read_json(path) for path in sorted((folders[0] / "metrics/cost").glob("*.json"))}
    seconds = [run.seconds for run in runs]
    spread = f"{min(seconds):.0f} to {max(seconds):.0f} s"
    peak, together = max(run.largest_mib for run in runs), max(run.together_mib for run in runs)
    claims = [
        at_most("`make repro` after set-up", max(seconds), 360, "s", COMMAND, repeats=len(seconds), spread=spread),
        at_most("`dvc repro` with nothing to do", max(idle), 5, "s", COMMAND, repeats=len(idle)),
        *(_same(where, len(first), names) for where, names in differing.items()),
        at_most("peak memory of the largest process", peak, 4096, "MiB", COMMAND),
        at_most("peak memory of all processes together", together, 8192, "MiB", COMMAND),
    ]
    rows = [_row(name, cost) for name, cost in costs.items() if name != "build_base"]
    publish("pipeline", claims, {"Time and memory per stage": rows})
    print(*(f"{where} differ in {name}" for where, names in differing.items() for name in names), sep="\n")


def _differing(first: dict[str, str], other: dict[str, str]) -> list[str]:
    return sorted(name for name in first if first[name] != other.get(name))


def _same(where: str, files_compared: int, names: list[str]) -> Claim:
    text = f"of {files_compared} outs and quality metrics that differ between {where}"
    return at_most(text, len(names), 0, "files", COMMAND)


def _run(folder: Path, commands: list[list[str]]) -> Cost:
    """Run commands one after another, and look at the memory of all that they start once a second."""
    began, peaks = time.monotonic(), [(0.0, 0.0)]
    for command in commands:
        with subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                peaks.append(_memory_below(process.pid))
                with suppress(subprocess.TimeoutExpired):
                    process.wait(1)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
    largest, together = (max(column) for column in zip(*peaks, strict=True))
    return Cost(time.monotonic() - began, largest, together)


def _memory_below(pid: int) -> tuple[float, float]:
    """Return MiB of the largest process and of all."""
    sizes = [0.0]
    with suppress(psutil.NoSuchProcess):
        for process in [parent := psutil.Process(pid), *parent.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                sizes.append(process.memory_full_info().uss / 2**20)
    return max(sizes), sum(sizes)


def _row(name: str, cost: dict[str, float]) -> dict[str, object]:
    shown = {"seconds": "seconds", "cpu_seconds": "cpu seconds", "peak_memory_mib": "peak MiB"}
    return {"stage": name, **{title: cost[key] for key, title in shown.items()}}


if __name__ == "__main__":
    start(main, __doc__)
