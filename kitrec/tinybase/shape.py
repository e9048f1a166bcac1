"""The tiny base: Qwen3's architecture, small. One deviation in its start, none in its form.

Qwen3 normalises queries and keys per head, which caps attention logits near sqrt(head width) while the norm's weights
are 1; small heads then cannot look at one token alone. The query norms therefore start at `query_norm` instead of 1."""

import torch
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from kitrec.tinybase.params import TinyBase


def new_model(p: TinyBase, tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen3ForCausalLM:
    """A freshly initialised tiny Qwen3 for the tokenizer."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=p.hidden,
        num_hidden_layers=p.layers,
        num_attention_heads=p.heads,
        num_key_value_heads=p.heads,
        head_dim=p.hidden // p.heads,
        intermediate_size=p.intermediate,
        max_position_embeddings=p.max_positions,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen3ForCausalLM(config)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.q_norm.weight.fill_(p.query_norm)
    return model
