"""`dvc repro` with its place in the whole: stage k of n, and the time left by what the stages cost before.

python -m stages.lib.repro evaluate analyse judge

DVC runs in this process as it is; a handler of its log notices which stage it comes to. Expected are the stages that
DVC finds changed and those below them; one that turns out to be unchanged is taken off. Costs: metrics/cost."""

import logging
import re
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from dvc.cli import main as dvc
from dvc.exceptions import DvcException
from dvc.logger import set_loggers_level
from dvc.repo import Repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

from kitrec.core import files
from stages.lib.usual_seconds import USUAL_SECONDS

COSTS = Path("metrics/cost")
_RUNS = re.compile(r"Running stage '(.+)':")
_SKIPPED = re.compile(r"(?:Stage )?'(.+)' (?:didn't change, skipping|is cached - skipping run)")


class Progress(logging.Handler):
    """Prints where a run is, whenever DVC says that it comes to a stage."""

    def __init__(self, expected: Iterable[str], costs: Mapping[str, float]) -> None:
        super().__init__(logging.INFO)
        self.left, self.costs, self.started = list(expected), costs, 0

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line before a stage runs; forget a stage that DVC skips."""
        message = record.getMessage()
        if match := _RUNS.match(message):
            self._forget(match[1])
            self.started += 1
            print(self.line(match[1]), flush=True)
        elif match := _SKIPPED.match(message):
            self._forget(match[1])

    def line(self, stage: str) -> str:
        """Return the line of a stage that starts."""
        known = [self.costs[name] for name in (stage, *self.left) if name in self.costs]
        unknown = 1 + len(self.left) - len(known)
        parts = [f"stage {self.started} of {self.started + len(self.left)}: {stage}"]
        parts += [f"{duration(self.costs[stage])} expected"] if stage in self.costs else []
        parts += [f"about {duration(sum(known))} left"] if known else []
        parts += [f"{unknown} stage{'s' * (unknown > 1)} of unknown cost"] if unknown else []
        return f"== {', '.join(parts)}"

    def _forget(self, stage: str) -> None:
        if stage in self.left:
            self.left.remove(stage)


def expected_stages(targets: list[str]) -> list[str]:
    """Return the stages that a run of the targets is expected to run, in DVC's order."""
    with set_loggers_level(logging.ERROR), Repo() as repo:  # what it warns of, the run itself says again
        graph = get_active_graph(repo.index.graph)
        changed = set(repo.status(targets=targets, with_deps=True))
        expected = set()
        for stage in (plan := plan_repro(graph, collect_stages(repo, targets))):
            if stage.addressing in changed or any(above in expected for above in graph.successors(stage)):
                expected.add(stage)
        return [stage.addressing for stage in plan if stage in expected]


def last_costs(folder: Path = COSTS) -> dict[str, float]:
    """Return the seconds of each stage's last run; an item is `stage-item` there and `stage@item` in DVC."""
    costs = {}
    for path in folder.glob("*.json"):
        stage, dash, item = path.stem.partition("-")
        costs[stage + "@" * bool(dash) + item] = float(files.read_json(path).get("seconds", 0.0))
    return costs


def main(targets: list[str]) -> int:
    """Run `dvc repro` and return its exit status."""
    try:
        expected = expected_stages(targets)
    except DvcException:
        expected = []  # DVC says itself what is wrong with dvc.yaml
    progress, start = Progress(expected, USUAL_SECONDS | last_costs()), time.monotonic()
    logger = logging.getLogger("dvc.stage")
    logger.addHandler(progress)
    try:
        status = int(dvc(["repro", *targets]))
    finally:
        logger.removeHandler(progress)
    if not status:
        ran = f"{progress.started} stages ran" if progress.started else "every stage is up to date"
        print(f"== {ran}, {duration(time.monotonic() - start)}")
    return status


def duration(seconds: float) -> str:
    """Return hours and minutes, minutes and seconds, or seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes // 60} h {minutes % 60} min"
        if minutes >= 60
        else f"{minutes} min {rest} s"
        if minutes
        else f"{rest} s"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
