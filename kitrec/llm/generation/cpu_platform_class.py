"""The CPU platform class, apart from its entry point because importing it imports vLLM."""

from vllm.platforms.cpu import CpuPlatform


class KitrecCpuPlatform(CpuPlatform):
    """CPU platform with LoRA by adapter instead of by token."""

    @classmethod
    def get_punica_wrapper(cls) -> str:
        """Return the name of the class with the LoRA operations."""
        return "kitrec.llm.generation.grouped_lora.GroupedLora"
