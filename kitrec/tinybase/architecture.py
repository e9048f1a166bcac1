"""The tiny base: Qwen3's architecture, small. Deviations: the start of its weights (start.py), none in its form."""

import torch
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from kitrec.tinybase.initial_heads import HEAD_WIDTH, HEADS, LAYERS, ROPE_THETA, WIDTH, give_structure
from kitrec.tinybase.params import TinyBase


def new_model(p: TinyBase, tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen3ForCausalLM:
    """A freshly initialised tiny Qwen3 for the tokenizer."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        head_dim=HEAD_WIDTH,
        intermediate_size=p.intermediate,
        max_position_embeddings=p.max_positions,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen3ForCausalLM(config)
    give_structure(model, tokenizer, seed)
    return model
