"""Stages side by side: the plan by hand, commands that wait, fail and are interrupted, a small pipeline of DVC's."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import networkx as nx
import pytest

from kitrec.core.errors import InputError
from stages.lib.lanes import command, plan
from stages.lib.side_by_side import expected, run_side_by_side
from tests.conftest import ROOT

# consumer -> what it needs; seconds of the last run
NEEDS = {
    "prepare": ["check"],
    "train@a": ["prepare"],
    "train@b": ["prepare"],
    "convert": ["train@a"],
    "infer": ["train@b", "convert"],
    "rank": ["prepare"],
    "score": ["infer"],
    "evaluate": ["score", "rank"],
}
SECONDS = {"check": 1.0, "prepare": 4.0, "train@a": 90.0, "convert": 3.0, "infer": 60.0, "score": 40.0, "rank": 2.0}


def made_graph() -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_edges_from((consumer, needed) for consumer, needs in NEEDS.items() for needed in needs)
    return graph


def test_short_stages_come_first_or_between_long_ones_or_are_left_to_dvc():
    """`train@b` and `evaluate` never ran here: they count as long. `rank` is short, and no long stage but the last
    needs it."""
    todo = plan(made_graph(), set(NEEDS) | {"check"}, SECONDS)
    assert todo.first == ["check", "prepare", "rank"]
    assert list(todo.needs) == ["train@a", "convert", "train@b", "infer", "score", "evaluate"]
    assert todo.needs["train@a"] == set() and todo.needs["convert"] == {"train@a"}
    assert todo.needs["infer"] == {"train@a", "train@b", "convert"}
    assert todo.urgency == {
        "evaluate": 10.0,
        "score": 50.0,
        "infer": 110.0,
        "train@b": 120.0,
        "convert": 113.0,
        "train@a": 203.0,
    }


def test_stages_that_are_up_to_date_are_waited_for_by_none():
    todo = plan(made_graph(), {"infer", "score", "evaluate"}, {**SECONDS, "evaluate": 3.0})
    assert todo.first == [] and todo.needs == {"infer": set(), "score": {"infer"}}


def test_only_stages_whose_bytes_do_not_depend_on_it_get_fewer_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    assert command("train_dualft@movies-full", 3)[:2] == ["env", "OMP_NUM_THREADS=2"]
    assert command("train_idrec@sasrec", 3)[0] == "dvc"


def run_shell(commands: dict[str, str], needs: dict[str, set[str]], width: int = 2) -> None:
    shell = {name: ["sh", "-c", command] for name, command in commands.items()}
    urgency = {name: float(len(commands) - k) for k, name in enumerate(commands)}
    run_side_by_side(shell, {name: needs.get(name, set()) for name in commands}, urgency, {}, width)


def test_commands_run_two_at_a_time_each_after_those_it_needs(tmp_path, capfd):
    log = tmp_path / "log"
    commands = {name: f"echo +{name} >> {log}; sleep 0.2; echo out of {name}; echo -{name} >> {log}" for name in "abcd"}
    run_shell(commands, {"c": {"a", "b"}})
    events = log.read_text().split()
    assert set(events[:2]) == {"+a", "+b"}
    assert max(events.index("-a"), events.index("-b")) < events.index("+c")
    alive = most = 0
    for event in events:
        alive += 1 if event[0] == "+" else -1
        most = max(most, alive)
    assert most == 2 and len(events) == 8
    lines = capfd.readouterr().out.splitlines()
    assert {f"{name} | out of {name}" for name in "abcd"} <= set(lines) and all(" | " in line for line in lines)


def test_a_failure_shows_its_message_once_and_ends_the_others(tmp_path, capfd):
    mark = tmp_path / "went on"
    begin = time.monotonic()
    with pytest.raises(InputError, match="b failed: its message is above"):
        run_shell(
            {"a": f"sleep 30; touch {mark}", "b": "echo error: no such file >&2; exit 3", "c": "true"}, {"c": {"a"}}
        )
    assert time.monotonic() - begin < 10 and not mark.exists()
    output = capfd.readouterr().out
    assert output.count("error: no such file") == 1 and "c |" not in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_that_runs(number, tmp_path):
    """The commands leave what an interrupted stage leaves: nothing runs on, and no traceback is shown."""
    script = f"""
from stages.lib.runner import start
from tests.pipeline.test_lanes import run_shell
def main() -> None:
    "Run."
    run_shell({{name: f"echo $$ > {tmp_path}/{{name}}; sleep 30; touch {tmp_path}/late" for name in "ab"}}, {{}})
start(main)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", script], env=environment, text=True, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not all((tmp_path / name).exists() and (tmp_path / name).read_text() for name in "ab"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "interrupted: the same command goes on where it stopped" in errors
    assert "Traceback" not in errors and not (tmp_path / "late").exists()
    for name in "ab":
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / name).read_text()), 0)


PIPELINE = """
stages:
  shared: {cmd: echo shared > shared, deps: [source], outs: [shared]}
  left: {cmd: sleep 1; cat shared > left; cp costs metrics/cost/l, deps: [shared], outs: [left, metrics/cost/l]}
  right: {cmd: sleep 1; cat shared > right; cp costs metrics/cost/r, deps: [shared], outs: [right, metrics/cost/r]}
  both: {cmd: cat left right > both; cp costs metrics/cost/b, deps: [left, right], outs: [both, metrics/cost/b]}
  last: {foreach: [one], do: {cmd: cat both > last, deps: [both], outs: [last]}}
"""


def test_dvc_s_stages_run_side_by_side_to_the_lock_of_a_plain_repro(tmp_path):
    locks = []
    for name in ("lanes", "plain"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "source").write_text("1")
        (folder / "dvc.yaml").write_text(PIPELINE)
        run(folder, "dvc", "init", "-q", "--no-scm")
        (folder / "metrics/cost").mkdir(parents=True)
        (folder / "costs").write_text('{"seconds": 12}')
        if name == "lanes":
            printed = run(folder, sys.executable, "-c", "from stages.lib.lanes import run; run(['last'], 2)")
            starts = [line for line in printed.splitlines() if "starts" in line or "done" in line]
            assert {starts[0], starts[1]} == {"left | starts", "right | starts"} and len(starts) == 6
            assert not (folder / "last").exists()
        reported = run(folder, "dvc", "repro", "last")
        assert name == "plain" or reported.count("didn't change, skipping") == 4
        locks.append(sorted((folder / "dvc.lock").read_text().splitlines()))
    assert locks[0] == locks[1]
    assert "starts" not in run(
        tmp_path / "lanes", sys.executable, "-c", "from stages.lib.lanes import run; run(['last'], 2)"
    )


def run(folder: Path, *command: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


def test_what_is_left_is_the_longest_way_or_all_work_shared_out():
    """By hand: c waits for a, so 90 + 60 s; with b of 400 s beside them, 550 s on two lanes take at least 400."""
    seconds, urgency = {"a": 90.0, "b": 100.0, "c": 60.0}, {"a": 150.0, "b": 100.0, "c": 60.0}
    assert expected("a", ["c", "a", "b"], urgency, seconds, 2) == ": 1 min 30 s expected, about 2 min 30 s left"
    assert expected("a", ["c", "a", "b"], urgency, seconds, 1) == ": 1 min 30 s expected, about 4 min 10 s left"
    longer = {**seconds, "b": 400.0}
    assert expected("b", ["a", "b", "c"], {**urgency, "b": 400.0}, longer, 2).endswith("about 6 min 40 s left")
    assert expected("d", ["d"], {"d": 10.0}, seconds, 2) == ""


def test_of_a_bar_only_the_end_is_shown(capfd):
    run_shell({"a": r"printf 'Batches:  50%%|##  | 1/2\rBatches: 100%%|####| 2/2\n9%% of users\n'"}, {})
    assert capfd.readouterr().out.splitlines()[1:-1] == ["a | Batches: 100%|####| 2/2", "a | 9% of users"]
