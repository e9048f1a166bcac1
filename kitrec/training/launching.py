"""A function in several processes of one machine that find each other, as `torchrun` would start them."""

import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, record
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from kitrec.core.errors import InputError

T = TypeVar("T")


def side_by_side(processes: int, function: Callable[..., T], *arguments: Any) -> T:
    """What the first process returns; if one fails the others are stopped, and its error is told."""
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
    except ChildFailedError as failed:
        rank, failure = min(failed.failures.items(), key=lambda item: item[1].timestamp)
        raise InputError(f"training process {rank} of {processes} stopped: {failure.message}") from None


@record
def _recorded(function: Callable[..., T], *arguments: Any) -> T:
    """Leaves its error where the launcher finds it."""
    return function(*arguments)
