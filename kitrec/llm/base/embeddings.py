"""The input embeddings of a base alone, for whoever composes prompts of vectors: one tensor, not the model."""

from pathlib import Path

import torch
from accelerate import init_empty_weights
from huggingface_hub import snapshot_download
from safetensors import safe_open
from torch import nn
from transformers import AutoModelForCausalLM

from kitrec.core.errors import InputError
from kitrec.llm.base.fetching import KINDS
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.base.shape import base_config


def load_embeddings(base: PinnedBase, dtype: torch.dtype) -> nn.Module:
    """Load the module of a fetched base's input embeddings, in the machine's memory."""
    with init_empty_weights():  # weights without memory; buffers are real, such as the scale of Gemma's embeddings
        model = AutoModelForCausalLM.from_config(base_config(base))
    table: nn.Module = model.get_input_embeddings()
    (name,) = (name for name, parameter in model.named_parameters() if parameter is table.weight)
    names = {name, name.removeprefix(f"{model.base_model_prefix}.")}  # some files hold the transformer without its head
    for path in sorted(_folder(base).glob("*.safetensors")):
        with safe_open(path, "pt") as weights:
            for stored in names & set(weights.keys()):
                table.weight = nn.Parameter(weights.get_tensor(stored).to(dtype), requires_grad=False)
                return table.eval()
    raise InputError(f"{base.path} has no tensor {name}: its embeddings cannot be loaded alone, score by transformers")


def _folder(base: PinnedBase) -> Path:
    if base.revision is None:
        return Path(base.path)
    return Path(snapshot_download(base.path, revision=base.revision, allow_patterns=KINDS, local_files_only=True))
