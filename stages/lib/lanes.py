"""Long stages that do not need each other, side by side: what `make repro` and `make real` do before their `dvc repro`.

python -m stages.lib.lanes evaluate analyse judge

A lane runs one stage at a time, as `dvc repro --single-item`: DVC itself skips a stage that did not change, and lets
others run while a stage's command does. First `dvc repro` of the short stages that long ones need, then the long ones
as soon as all that they read is there, that with the most work behind it first. All others are left to the `dvc repro`
that follows and decides what is up to date: no result rests on this file. One core, or a GPU that stages would have to
share: nothing is done here."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx
import psutil
from dvc.repo import Repo

from kitrec.core import files
from stages.lib import runner
from stages.lib.side_by_side import call, run_side_by_side
from stages.lib.usual_seconds import USUAL_SECONDS

LONG = 10.0  # seconds: a shorter stage is not worth the start of a DVC of its own
MOST_LANES = 4
LANE_GIB = 4  # memory that a lane needs: stages of the shipped base take up to 3
GPUS = ("/dev/nvidiactl", "/dev/kfd")
COSTS = "metrics/cost/"
DVC = ["dvc", "--wait-for-lock", "repro", "--quiet", "--single-item"]
# Their outs are the same bytes with one thread and with two. Others, such as float32 trainings of recommenders, keep
# the threads that `dvc repro` alone would give them, so that lanes change no byte.
BYTES_OF_ANY_THREADS = ("train_dualft", "train_singleft", "infer_vllm", "score_candidates")


@dataclass(frozen=True)
class Plan:
    """Short stages to run first, in order; then stage -> those of the plan that it waits for, and its urgency."""

    first: list[str]
    needs: dict[str, set[str]]
    urgency: dict[str, float]  # seconds of the longest way from a stage's start to the end of the plan


def number_of_lanes() -> int:
    """Return how many stages this machine runs side by side."""
    if any(Path(gpu).exists() for gpu in GPUS):
        return 1
    memory = psutil.virtual_memory().total // (LANE_GIB * 2**30)
    return max(1, min(MOST_LANES, len(os.sched_getaffinity(0)), memory))


def outdated(repo: Repo, graph: Any, targets: list[str]) -> set[str]:
    """Return the stages that `dvc repro` of the targets would look at again: those that changed, and all after them."""
    named = {name for name in graph if name in targets or name.partition("@")[0] in targets}
    upstream = named.union(*(nx.descendants(graph, name) for name in named))
    changed = set(repo.status(targets=targets, with_deps=True)) & upstream
    return changed.union(*(nx.ancestors(graph, name) for name in changed)) & upstream


def graph_of(repo: Repo) -> Any:
    """Return DVC's graph of stage names; an edge leads to what a stage needs. Frozen stages do not run."""
    stages = repo.index.graph
    frozen = [stage for stage in stages if stage.frozen]
    names = {stage: stage.addressing for stage in stages}
    return nx.relabel_nodes(stages.subgraph(set(stages) - set(frozen)), names)


def plan(graph: Any, pending: set[str], seconds: Mapping[str, float]) -> Plan:
    """Return the plan of the pending stages; those whose time is unknown count as long."""
    part = graph.subgraph(pending)
    long = {name for name in part if seconds.get(name, LONG) >= LONG}
    needed = long.union(*(nx.descendants(part, name) for name in long))
    order = list(nx.lexicographical_topological_sort(part.subgraph(needed).reverse()))
    first = [name for name in order if name not in long and not nx.descendants(part, name) & long]
    needs = {name: set(nx.descendants(part, name)) - set(first) for name in order if name not in first}
    urgency: dict[str, float] = {}
    for name in reversed(order):
        after = [urgency[later] for later in part.predecessors(name) if later in urgency]
        urgency[name] = seconds.get(name, LONG) + max(after, default=0.0)
    return Plan(first, needs, {name: urgency[name] for name in needs})


def recorded_seconds(repo: Repo) -> dict[str, float]:
    """Return what stages took when they last ran, here or where the repository's costs were recorded.

    A stage that records no costs takes none worth counting; one that never ran takes its usual time, if it has one."""
    seconds = dict(USUAL_SECONDS)
    for stage in repo.index.stages:
        ledger = next((Path(out.def_path) for out in stage.outs if out.def_path.startswith(COSTS)), None)
        if ledger is None or ledger.exists():
            seconds[stage.addressing] = float(files.read_json(ledger)["seconds"]) if ledger else 0.0
    return seconds


def run(targets: list[str], lanes: int) -> None:
    """Run the long stages that the targets need and that are out of date, so many at a time."""
    with Repo() as repo:
        graph = graph_of(repo)
        pending, seconds = outdated(repo, graph, targets), recorded_seconds(repo)
    todo = plan(graph, pending, seconds)
    if len(todo.needs) < 2:
        return
    if todo.first:
        call(["dvc", "repro", *todo.first])
    commands = {name: command(name, lanes) for name in todo.needs}
    run_side_by_side(commands, todo.needs, todo.urgency, seconds, lanes)


def command(name: str, lanes: int) -> list[str]:
    """Return the command that runs one stage, with its share of the cores where that changes no byte."""
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // lanes)))
    shared = name.partition("@")[0] in BYTES_OF_ANY_THREADS
    return [*(["env", f"OMP_NUM_THREADS={threads}"] if shared else []), *DVC, name]


def main(targets: list[str]) -> None:
    """Run stages that TARGETS need side by side, where this machine has room for several."""
    if (lanes := number_of_lanes()) > 1:
        run(targets, lanes)


if __name__ == "__main__":
    runner.start(main)
