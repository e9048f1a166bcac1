"""Time and bytes of the default run in two fresh clones, in turn.   make bench-pipeline   (about twice `make repro`)

Measures: seconds of `dvc repro`, of the run that has nothing to do, peak memory, and whether both clones, and this
checkout if it has been run, hold the same bytes."""

import resource
import subprocess
import tempfile
import time
from pathlib import Path

from bench.claims import Claim, at_most, publish
from bench.clone import ENVIRONMENT, ROOT, make_clone, results
from bench.running import start
from kitrec.core import files

COMMAND = "make bench-pipeline"
REPRO = ["dvc", "repro", "evaluate"]


def main() -> None:
    """Run, compare and publish."""
    with tempfile.TemporaryDirectory() as temporary:
        folders = [Path(temporary) / name for name in ("first", "second")]
        seconds, idle = [], []
        for folder in folders:
            make_clone(folder, [])
            seconds.append(_timed(folder))
            idle += [_timed(folder) for _ in range(3)]
        first, second = map(results, folders)
        differing = {"the two clones": _differing(first, second)}
        if (ROOT / "data/scores").exists():
            differing["a clone and this checkout"] = _differing(first, results(ROOT))
        costs = {path.stem: files.read_json(path) for path in sorted((folders[0] / "metrics/cost").glob("*.json"))}
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    spread = f"{min(seconds):.0f} to {max(seconds):.0f} s"
    claims = [
        at_most("`make repro` after set-up", max(seconds), 900, "s", COMMAND, repeats=len(seconds), spread=spread),
        at_most("`dvc repro` with nothing to do", max(idle), 5, "s", COMMAND, repeats=len(idle)),
        *(_same(where, len(first), names) for where, names in differing.items()),
        at_most("peak memory of the largest process", peak, 8192, "MiB", COMMAND),
    ]
    rows = [_row(name, cost) for name, cost in costs.items() if name != "build_base"]
    publish("pipeline", claims, {"Time and memory per stage": rows})
    print(*(f"{where} differ in {name}" for where, names in differing.items() for name in names), sep="\n")


def _differing(first: dict[str, str], other: dict[str, str]) -> list[str]:
    return sorted(name for name in first if first[name] != other.get(name))


def _same(where: str, files_compared: int, names: list[str]) -> Claim:
    text = f"of {files_compared} outs and quality metrics that differ between {where}"
    return at_most(text, len(names), 0, "files", COMMAND)


def _timed(folder: Path) -> float:
    began = time.monotonic()
    subprocess.run(REPRO, cwd=folder, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def _row(name: str, cost: dict[str, float]) -> dict[str, object]:
    shown = {"seconds": "seconds", "cpu_seconds": "cpu seconds", "peak_memory_mib": "peak MiB"}
    return {"stage": name, **{title: cost[key] for key, title in shown.items()}}


if __name__ == "__main__":
    start(main, __doc__)
