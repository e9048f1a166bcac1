"""The class itself, apart from the entry point: importing it imports vLLM."""

from vllm.platforms.cpu import CpuPlatform


class KitrecCpuPlatform(CpuPlatform):
    """CPU, with LoRA by adapter instead of by token."""

    @classmethod
    def get_punica_wrapper(cls) -> str:
        """Where vLLM finds the LoRA operations."""
        return "kitrec.llm.generation.grouped_lora.GroupedLora"
