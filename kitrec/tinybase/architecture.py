"""The tiny base: a small Qwen3. Its initialisation deviates (initial_heads.py), its architecture does not."""

import torch
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from kitrec.tinybase.initial_heads import HEAD_WIDTH, HEADS, LAYERS, ROPE_THETA, WIDTH, initialise_heads
from kitrec.tinybase.params import TinyBase


def new_model(p: TinyBase, tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen3ForCausalLM:
    """Create a freshly initialised tiny Qwen3 for the tokenizer."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        head_dim=HEAD_WIDTH,
        intermediate_size=p.intermediate_size,
        max_position_embeddings=p.max_position_embeddings,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen3ForCausalLM(config)
    initialise_heads(model, tokenizer, seed)
    return model
