"""Several engines answer like one: the same replies in the same order, and no engine outlives a killed stage."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import pin
from kitrec.llm.generation.replicas import EngineSpec, Replicas, separate_engine, share_of_machine, start_engines
from kitrec.llm.generation.requests import Request
from kitrec.llm.generation.vllm_engine import Reply, Sampling
from tests.conftest import ROOT
from tests.llm.made_methods import made_engine

GREEDY = Sampling(max_new_tokens=8, temperature=0.0, top_p=1.0, top_k=0, seed=1)


@pytest.mark.parametrize("count", [1, 2, 5, 20])
@pytest.mark.parametrize("records", [0, 1, 7])
def test_every_request_gets_its_reply_in_order(count, records):
    sizes = []

    def engine(part):
        requests, _, schemas = part
        sizes.append(len(requests))
        assert [r.prompt[0] for r in requests] == [s["n"] for s in schemas]
        return lambda: [Reply(str(r.prompt[0]), r.prompt, "stop") for r in requests]

    requests = [Request([k], None) for k in range(records)]
    replies = Replicas([engine] * count).generate(requests, GREEDY, [{"n": k} for k in range(records)])
    assert [reply.text for reply in replies] == [str(k) for k in range(records)]
    assert sum(sizes) == records and (not sizes or max(sizes) - min(sizes) <= 1)


def test_engines_share_the_visible_gpus_and_the_cores(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    shares = [share_of_machine(k, 2, 2) for k in range(2)]
    assert [s["CUDA_VISIBLE_DEVICES"] for s in shares] == ["4,5", "6,7"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert share_of_machine(2, 3, 1)["CUDA_VISIBLE_DEVICES"] == "2"
    cores = [set(s["VLLM_CPU_OMP_THREADS_BIND"].split(",")) for s in shares]
    assert len(os.sched_getaffinity(0)) == 1 or not cores[0] & cores[1]


def spec(tiny_base: Path, **changes) -> EngineSpec:
    engine = made_engine(dtype="float32", max_model_len=512, **changes)
    return EngineSpec(pin(Base(path=str(tiny_base), revision=None)), engine, {}, seed=1, quiet=True)


@pytest.mark.slow
@pytest.mark.parametrize("placement", ["processes", "ray"])
def test_two_engines_write_what_one_writes(tiny_base, placement):
    if placement == "ray":
        pytest.importorskip("ray", reason="ray is not installed: pip install -r requirements-cluster.txt")
    requests = [Request(list(range(300 + k, 330 + 2 * k)), None) for k in range(9)]
    from_one = start_engines(spec(tiny_base)).generate(requests, GREEDY)
    from_two = start_engines(spec(tiny_base, replicas=2, placement=placement)).generate(requests, GREEDY)
    assert from_two == from_one


@pytest.mark.slow
def test_an_engine_of_its_own_process_writes_the_same_and_ends_with_the_block(tiny_base):
    requests = [Request(list(range(300 + k, 330 + 2 * k)), None) for k in range(3)]
    with separate_engine(spec(tiny_base)) as engine:
        replies = engine.generate(requests, GREEDY)
        living = _children(os.getpid())
    assert replies == start_engines(spec(tiny_base)).generate(requests, GREEDY)
    ended = [child for child in living if not Path(f"/proc/{child}").exists()]
    assert ended  # beside it multiprocessing keeps a process that tracks resources


@pytest.mark.slow
def test_a_killed_stage_leaves_no_engine_behind(tiny_base):
    script = (
        "from tests.llm.test_replicas import GREEDY, spec\nfrom kitrec.llm.generation.replicas import start_engines\n"
        "from kitrec.llm.generation.requests import Request\nfrom pathlib import Path\n"
        "if __name__ == '__main__':\n"
        f"    engines = start_engines(spec(Path({str(tiny_base)!r}), replicas=2))\n"
        "    engines.generate([Request([300, 301], None)] * 2, GREEDY)\n    print('ready', flush=True)\n    input()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert any("ready" in line for line in parent.stdout)
    children = _children(parent.pid)
    assert len(children) >= 2
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


def _children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]
