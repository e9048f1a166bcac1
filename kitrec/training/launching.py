"""Run a function in several processes of one machine that form a process group, as `torchrun` does."""

import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, record
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from kitrec.core.errors import InputError

T = TypeVar("T")


def launch_processes(processes: int, function: Callable[..., T], *arguments: Any) -> T:
    """Return the result of the first process; if one fails the others are stopped and its error is raised."""
    if processes == 1:
        return function(*arguments)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        start_method="spawn",
        max_restarts=0,
    )
    try:
        return elastic_launch(config, _recorded)(function, *arguments)[0]
    except ChildFailedError as error:
        rank, failure = min(error.failures.items(), key=lambda item: item[1].timestamp)
        raise InputError(f"training process {rank} of {processes} stopped: {failure.message}") from None


@record
def _recorded(function: Callable[..., T], *arguments: Any) -> T:
    """Run the function; `record` writes its error where the launcher reads it."""
    return function(*arguments)
