"""Answers survive kill -9 at any moment: a real process is really killed."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from kitrec.llm.generation.requests import Request
from kitrec.llm.generation.resumable import generate_answers
from kitrec.llm.generation.vllm_engine import Reply

ROOT = Path(__file__).resolve().parents[2]  # the tests' conftest would import torch, once per killed process
RECORDS, SHARD = 60, 3
CHILD = """
import sys, time
from pathlib import Path
from tests.llm.test_killed_generation import answer_all_records, replies

def slowly(requests):
    with Path(sys.argv[1], "calls").open("a") as calls:
        calls.write(f"{len(requests[0].prompt)}\\n")
    time.sleep(0.01)
    return replies(requests)

print("started", flush=True)
answer_all_records(Path(sys.argv[1]), slowly)
"""


def replies(requests: list[Request]) -> list[Reply]:
    return [Reply(f"text {len(r.prompt)}", [1], "stop") for r in requests]


def answer_all_records(work: Path, generate) -> pl.DataFrame:
    requests = [Request([7] * (k + 1), None) for k in range(RECORDS)]
    names = [f"r{k}" for k in range(RECORDS)]
    return generate_answers("m", names, requests, generate, max_length=99, shard_size=SHARD, work=work)


@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_kills_at_random_moments_lose_and_repeat_nothing(tmp_path: Path, kills: int) -> None:
    rng = random.Random(3)
    killed = 0
    while killed < kills:
        folder = tmp_path / str(killed)
        folder.mkdir(parents=True)
        expected = answer_all_records(folder / "whole", replies)
        for _ in range(4):
            child = subprocess.Popen([sys.executable, "-c", CHILD, str(folder)], cwd=ROOT, stdout=subprocess.PIPE)
            assert child.stdout
            child.stdout.readline()
            time.sleep(rng.uniform(0, 0.25))
            child.send_signal(signal.SIGKILL)
            child.wait()
            killed += 1
        resumed: list[int] = []

        def counted(requests, resumed=resumed):
            resumed.append(1)
            return replies(requests)

        assert answer_all_records(folder, counted).equals(expected)
        calls = (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []
        assert len(calls) + len(resumed) <= RECORDS // SHARD + 4  # each kill may cost one engine call, never more
        assert not [path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".parquet", "")]
