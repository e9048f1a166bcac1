"""Loading the base model and its tokenizer, from a folder or from the hub at its pinned revision."""

from typing import Any

import torch
import transformers
from accelerate import PartialState
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from kitrec.core.errors import InputError
from kitrec.llm.base.pinning import PinnedBase

FAST_CPU_PATH = "support_avx512bf16_for_cpu"
NF4_BLOCK = 64  # weights that share a scale


def load_tokenizer(base: PinnedBase) -> Any:
    """The base's tokenizer."""
    return AutoTokenizer.from_pretrained(base.path, revision=base.revision, trust_remote_code=False)


def load_for_training(base: PinnedBase, weights: str, *, sharded: bool) -> Any:
    """The base in NF4 or bf16. Training uses no mask, so torch's sdpa takes its flash kernel where there is one."""
    if weights == "nf4":
        if sharded and not torch.cuda.is_available():
            raise InputError("launch: NF4 weights are sharded on GPUs only; set base_weights to bf16")
        return load_quantised(base)
    return _loaded(base, device_map=None if sharded else {"": PartialState().device})


def load_for_serving(base: PinnedBase, dtype: torch.dtype) -> Any:
    """The base as the engine serves it: whole weights."""
    return _loaded(base, dtype=dtype, device_map={"": PartialState().device})


def load_quantised(base: PinnedBase) -> Any:
    """The base in NF4 with double quantisation and bf16 compute (QLoRA, arXiv 2305.14314, section 3)."""
    if not torch.cuda.is_available():
        _check_width(base)
    model = _loaded(base, quantization_config=_nf4(), device_map={"": PartialState().device})
    for module in model.modules():
        if hasattr(module, FAST_CPU_PATH):
            # An evaluation would repack the weights on such CPUs and make all later gradients wrong, silently.
            setattr(module, FAST_CPU_PATH, False)
    return model


def _loaded(base: PinnedBase, *, dtype: torch.dtype = torch.bfloat16, **options: Any) -> Any:
    transformers.logging.disable_progress_bar()
    return AutoModelForCausalLM.from_pretrained(
        base.path,
        revision=base.revision,
        dtype=dtype,
        use_safetensors=True,
        trust_remote_code=False,
        **options,
    )


def _check_width(base: PinnedBase) -> None:
    """bitsandbytes 0.50's CPU kernels mix up rows that are not whole blocks: weights come back wrong, silently."""
    config = AutoConfig.from_pretrained(base.path, revision=base.revision, trust_remote_code=False)
    for name in ("hidden_size", "intermediate_size"):
        if getattr(config, name, 0) % NF4_BLOCK:
            raise InputError(
                f"{base.path}: {name} is {getattr(config, name)}; on a CPU, NF4 needs a multiple of {NF4_BLOCK}. "
                "Choose another base, or train on a GPU"
            )


def _nf4() -> BitsAndBytesConfig:
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_quant_storage=torch.bfloat16 if torch.cuda.is_available() else torch.uint8,  # FSDP shards floats only
    )
