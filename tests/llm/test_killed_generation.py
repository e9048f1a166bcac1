"""Answers survive kill -9 at any moment: a real process is really killed."""

import multiprocessing
import random
import time
from multiprocessing.connection import Connection
from pathlib import Path

import polars as pl
import pytest

from kitrec.llm.generation.requests import Request
from kitrec.llm.generation.resumable import generate_answers
from kitrec.llm.generation.vllm_engine import Reply

RECORDS, SHARD = 60, 3
# Processes are forked from a server that has imported the library: starts of Python would take most of the time.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([generate_answers.__module__])


def replies(requests: list[Request]) -> list[Reply]:
    return [Reply(f"text {len(r.prompt)}", [1], "stop") for r in requests]


def answer_all_records(work: Path, generate) -> pl.DataFrame:
    requests = [Request([7] * (k + 1), None) for k in range(RECORDS)]
    names = [f"r{k}" for k in range(RECORDS)]
    return generate_answers("m", names, requests, generate, max_length=99, shard_size=SHARD, work=work)


def answer_slowly(folder: Path, started: Connection) -> None:
    """What the killed process does; it writes down each call of the engine."""

    def slowly(requests: list[Request]) -> list[Reply]:
        with (folder / "calls").open("a") as calls:
            calls.write(f"{len(requests[0].prompt)}\n")
        time.sleep(0.01)
        return replies(requests)

    started.send("started")
    answer_all_records(folder, slowly)


@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_kills_at_random_moments_lose_and_repeat_nothing(tmp_path: Path, kills: int) -> None:
    rng = random.Random(3)
    killed = 0
    while killed < kills:
        folder = tmp_path / str(killed)
        folder.mkdir(parents=True)
        expected = answer_all_records(folder / "whole", replies)
        for _ in range(4):
            heard, started = PROCESSES.Pipe()
            child = PROCESSES.Process(target=answer_slowly, args=(folder, started))
            child.start()
            assert heard.recv() == "started"
            time.sleep(rng.uniform(0, 0.25))
            child.kill()
            child.join()
            killed += 1
        resumed: list[int] = []

        def counted(requests, resumed=resumed):
            resumed.append(1)
            return replies(requests)

        assert answer_all_records(folder, counted).equals(expected)
        calls = (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []
        assert len(calls) + len(resumed) <= RECORDS // SHARD + 4  # each kill may cost one engine call, never more
        assert not [path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".parquet", "")]
