"""Several engines behind the interface of one: requests are dealt out to them, replies put back in order.

`processes`: one process per engine on this machine, each with GPUs of its own (on a CPU a share of its threads). `ray`:
one actor per engine, wherever the cluster of RAY_ADDRESS has room; base and adapters must lie at the same paths on
every node. Shards, resuming and errors are as with one engine: callers see no difference."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from kitrec.core.errors import InputError
from kitrec.llm.base.fetching import fetch
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.generation.params import Engine
from kitrec.llm.generation.requests import Request
from kitrec.llm.generation.vllm_engine import Reply, Sampling, Schema, VllmEngine

Part = tuple[list[Request], Sampling, list[Schema] | None]
Submit = Callable[[Part], Callable[[], list[Reply]]]  # starts the work, returns a wait for the replies


@dataclass(frozen=True)
class EngineSpec:
    """The settings of an engine, for the process that starts it."""

    base: PinnedBase
    engine: Engine
    adapters: dict[str, Path]
    seed: int
    quiet: bool

    def start(self) -> VllmEngine:
        """Start the engine in this process."""
        return VllmEngine(self.base, self.engine, self.adapters, seed=self.seed, quiet=self.quiet)


class Replicas:
    """Generates by several engines at once."""

    def __init__(self, engines: Sequence[Submit]) -> None:
        self._engines = engines

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, schemas: Sequence[Schema] | None = None
    ) -> list[Reply]:
        """Return one reply per request."""
        count = len(self._engines)
        waiting = [
            submit((list(requests[k::count]), sampling, list(schemas[k::count]) if schemas else None))
            for k, submit in enumerate(self._engines)
            if requests[k::count]
        ]
        replies: list[Reply | None] = [None] * len(requests)
        for k, wait in enumerate(waiting):
            replies[k::count] = wait()
        return [reply for reply in replies if reply]


def start_engines(spec: EngineSpec) -> VllmEngine | Replicas:
    """Start one engine in this process, or `engine.replicas` engines elsewhere."""
    count = spec.engine.replicas
    fetch(spec.base)  # once, not by every engine
    if count == 1:
        return spec.start()
    return Replicas(_on_ray(spec, count) if spec.engine.placement == "ray" else _in_processes(spec, count))


@contextmanager
def separate_engine(spec: EngineSpec) -> Iterator[Replicas]:
    """Yield one engine in a process of its own, which ends with the block: the memory is free for another model."""
    (pool,) = _pools(1, spec.engine.tensor_parallel_size)
    with pool:
        yield Replicas([partial(_submit, spec, pool)])


def _in_processes(spec: EngineSpec, count: int) -> list[Submit]:
    gpus, available = spec.engine.tensor_parallel_size, torch.cuda.device_count()
    if available and available < count * gpus:
        raise InputError(f"engine.replicas: {count} engines of {gpus} GPUs need {count * gpus}, there are {available}")
    return [partial(_submit, spec, pool) for pool in _pools(count, gpus)]


def _pools(count: int, gpus: int) -> list[ProcessPoolExecutor]:
    spawn = multiprocessing.get_context("spawn")
    return [
        ProcessPoolExecutor(1, mp_context=spawn, initializer=_init_worker, initargs=(k, count, gpus))
        for k in range(count)
    ]


def _submit(spec: EngineSpec, pool: ProcessPoolExecutor, part: Part) -> Callable[[], list[Reply]]:
    return pool.submit(_generate_in_worker, spec, part).result


_WORKER: dict[str, VllmEngine] = {}  # the engine of a worker process


def _init_worker(number: int, count: int, gpus: int) -> None:
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    os.environ |= share_of_machine(number, count, gpus)


def _generate_in_worker(spec: EngineSpec, part: Part) -> list[Reply]:
    """Generate, starting the engine with its first part: start-up errors are then raised in the caller."""
    if "engine" not in _WORKER:
        _WORKER["engine"] = spec.start()
    return _WORKER["engine"].generate(*part)


def _exit_with_parent() -> None:
    """Exit when the parent does: a killed stage must leave no engine that holds a GPU."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def share_of_machine(number: int, count: int, gpus: int) -> dict[str, str]:
    """Return the environment of engine `number` of `count`: its GPUs of the visible ones, its share of the cores."""
    cores = sorted(os.sched_getaffinity(0))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = visible.split(",") if visible else [str(k) for k in range(count * gpus)]
    return {
        "CUDA_VISIBLE_DEVICES": ",".join(devices[number * gpus : (number + 1) * gpus]),
        "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, cores[number::count])) or str(cores[number % len(cores)]),
    }


def _on_ray(spec: EngineSpec, count: int) -> list[Submit]:
    import ray  # only where params name it

    class Actor:
        """A remote engine."""

        def __init__(self) -> None:
            self._engine = spec.start()

        def generate(self, part: Part) -> list[Reply]:
            """Return one reply per request."""
            return self._engine.generate(*part)

    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    gpus = spec.engine.tensor_parallel_size if ray.cluster_resources().get("GPU") else 0
    remote_actor: Any = ray.remote(num_gpus=gpus, num_cpus=1)(Actor)

    def submit(actor: Any, part: Part) -> Callable[[], list[Reply]]:
        return partial(ray.get, actor.generate.remote(part))

    return [partial(submit, remote_actor.remote()) for _ in range(count)]
