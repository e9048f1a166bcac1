"""Loading the base model and its tokenizer, from a folder or from the hub at its pinned revision."""

from typing import Any, Literal

import torch
import transformers
from accelerate import PartialState
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from kitrec.core.errors import InputError
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.base.precision import compute_dtype
from kitrec.llm.base.shape import quantisation_name, shape_fingerprint

BaseWeights = Literal["nf4", "bf16", "f32"]
FAST_CPU_PATH = "support_avx512bf16_for_cpu"
NF4_BLOCK = 64  # weights that share a scale


def load_tokenizer(base: PinnedBase) -> Any:
    """Load the base's tokenizer."""
    return AutoTokenizer.from_pretrained(base.path, revision=base.revision, trust_remote_code=False)


def check_served(base: PinnedBase, served: PinnedBase) -> None:
    """Refuse a copy to serve whose weights are whole, or whose shape is not that of the base that is trained on."""
    if quantisation_name(served) is None:
        raise InputError(
            f"base.served: {served.path} has whole weights, so it is another base and not a quantised copy of "
            f"{base.path}: set base.path to it, or base.served to null"
        )
    if shape_fingerprint(base, load_tokenizer(base)) != shape_fingerprint(served, load_tokenizer(served)):
        raise InputError(
            f"base.served: {served.path} has other sizes or another vocabulary than {base.path}, so adapters do not "
            "fit it: name a quantised copy of that base"
        )


def load_base(base: PinnedBase, weights: BaseWeights) -> Any:
    """Load the base onto one device in the given precision, to be frozen or adapted."""
    if weights == "nf4":
        return load_quantised(base)
    return load_for_serving(base, "bfloat16" if weights == "bf16" else "float32")


def load_for_training(base: PinnedBase, weights: str, *, sharded: bool) -> Any:
    """Load the base in NF4 or bf16. Training passes no mask, so torch's sdpa picks its flash kernel where available."""
    if weights == "nf4":
        if sharded and not torch.cuda.is_available():
            raise InputError("launch: NF4 weights are sharded on GPUs only; set base_weights to bf16")
        return load_quantised(base)
    return _from_pretrained(base, "bfloat16", device_map=None if sharded else {"": PartialState().device})


def load_for_serving(base: PinnedBase, dtype: str) -> Any:
    """Load the base with unquantised weights, as the engine serves it in this dtype."""
    return _from_pretrained(base, dtype, device_map={"": PartialState().device})


def load_quantised(base: PinnedBase) -> Any:
    """Load the base in NF4 with double quantisation, computed in bf16 (QLoRA, arXiv 2305.14314, section 3)."""
    if not torch.cuda.is_available():
        _check_width(base)
    model = _from_pretrained(base, "bfloat16", quantization_config=_nf4(), device_map={"": PartialState().device})
    for module in model.modules():
        if hasattr(module, FAST_CPU_PATH):
            # An evaluation would repack the weights on such CPUs and make all later gradients wrong, silently.
            setattr(module, FAST_CPU_PATH, False)
    return model


def _from_pretrained(base: PinnedBase, dtype: str, **options: Any) -> Any:
    if name := quantisation_name(base):
        raise InputError(
            f"{base.path} is quantised already ({name}): it can answer and score, by the engine. Training, probes and "
            "other models on top of it need the base of whole weights that it was made from"
        )
    transformers.logging.disable_progress_bar()
    return AutoModelForCausalLM.from_pretrained(
        base.path,
        revision=base.revision,
        dtype=getattr(torch, compute_dtype(dtype)),
        use_safetensors=True,
        trust_remote_code=False,
        **options,
    )


def _check_width(base: PinnedBase) -> None:
    """Refuse widths whose rows are no whole blocks: bitsandbytes 0.50's CPU kernels silently mix them up."""
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
        bnb_4bit_compute_dtype=getattr(torch, compute_dtype("bfloat16")),
        bnb_4bit_quant_storage=torch.bfloat16 if torch.cuda.is_available() else torch.uint8,  # FSDP shards floats only
    )
