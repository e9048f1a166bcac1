"""Attention probe: attention of the choice heads to every candidate's line, where the base names an item."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from kitrec.prompts.shown_items import Item
from kitrec.prompts.template import Style, segments
from kitrec.prompts.tokens import Encoder
from kitrec.tinybase.initial_heads import CHOICE_HEADS
from kitrec.tinybase.tokenizer import choice_opener

STYLE = Style(thinking=True, answer_items=1, summaries=True)
MAX_THOUGHT_TOKENS = 48


@torch.inference_mode()
def attention_to_lines(
    folder: Path, records: Sequence[Mapping[str, Any]], items: Mapping[str, Item]
) -> list[np.ndarray]:
    """Return per record the share of attention to each candidate's line, at the position where the thought names an id;
    zeros if it names none within MAX_THOUGHT_TOKENS."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    encoder, opener = Encoder(tokenizer), choice_opener(tokenizer)
    shares = []
    for record in records:
        prompt = torch.tensor([encoder.prompt(segments(record, items, STYLE).text(), thinking=True)])
        thought = model.generate(prompt, max_new_tokens=MAX_THOUGHT_TOKENS, do_sample=False, eos_token_id=opener)
        shares.append(_line_attention(model, tokenizer, thought, prompt.shape[1], len(record["candidate_ids"]), opener))
    return shares


def _line_attention(
    model: Any, tokenizer: Any, text: torch.Tensor, prompt: int, candidates: int, opener: int
) -> np.ndarray:
    if text[0, -1] != opener:
        return np.zeros(candidates)
    attention = model(input_ids=text, output_attentions=True, use_cache=False).attentions
    by_head = torch.stack([attention[layer][0, head, -1, :prompt] for layer, head in CHOICE_HEADS])
    attention_to_prompt = by_head.mean(dim=0).numpy()
    (start_of_line,) = tokenizer("(ID: ", add_special_tokens=False)["input_ids"]
    starts = np.flatnonzero(text[0, :prompt].numpy() == start_of_line)
    return np.add.reduceat(attention_to_prompt, starts)
