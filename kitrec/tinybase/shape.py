"""The tiny base: Qwen3's architecture, small. Deviations: the start of its weights (start.py), none in its form."""

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from kitrec.tinybase.params import TinyBase
from kitrec.tinybase.start import give_structure

ROPE_THETA = 1e6  # as Qwen3


def new_model(p: TinyBase, tokenizer: PreTrainedTokenizerFast, frequency: np.ndarray, seed: int) -> Qwen3ForCausalLM:
    """A freshly initialised tiny Qwen3 for the tokenizer; `frequency` is each token's share of the training text."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=p.hidden,
        num_hidden_layers=p.layers,
        num_attention_heads=p.heads,
        num_key_value_heads=p.heads,
        head_dim=p.head_width,
        intermediate_size=p.intermediate,
        max_position_embeddings=p.max_positions,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen3ForCausalLM(config)
    give_structure(model, frequency, ROPE_THETA, seed)
    return model
