"""Where the base looks when it chooses: the attention of its choosing heads on every candidate's line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from kitrec.prompts.template import Item, Style, segments
from kitrec.prompts.tokens import Encoder
from kitrec.tinybase.initial_heads import CHOOSING
from kitrec.tinybase.tokenizer import choice_opener

STYLE = Style(thinking=True, answer_items=1, summaries=True)
LONGEST_THOUGHT = 48


@torch.inference_mode()
def attention_to_lines(
    folder: Path, records: Sequence[Mapping[str, Any]], items: Mapping[str, Item]
) -> list[np.ndarray]:
    """Per record the share of attention on each candidate's line, where the base's own thought names an id.

    A record whose thought names none within its length has no entry but zeros."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    encoder, opener = Encoder(tokenizer), choice_opener(tokenizer)
    shares = []
    for record in records:
        prompt = torch.tensor([encoder.prompt(segments(record, items, STYLE).text(), thinking=True)])
        thought = model.generate(prompt, max_new_tokens=LONGEST_THOUGHT, do_sample=False, eos_token_id=opener)
        shares.append(_on_lines(model, tokenizer, thought, prompt.shape[1], len(record["candidate_ids"]), opener))
    return shares


def _on_lines(model: Any, tokenizer: Any, text: torch.Tensor, prompt: int, candidates: int, opener: int) -> np.ndarray:
    if text[0, -1] != opener:
        return np.zeros(candidates)
    attention = model(input_ids=text, output_attentions=True, use_cache=False).attentions
    looked = torch.stack([attention[layer][0, head, -1, :prompt] for layer, head in CHOOSING]).mean(dim=0).numpy()
    (start_of_line,) = tokenizer("(ID: ", add_special_tokens=False)["input_ids"]
    starts = np.flatnonzero(text[0, :prompt].numpy() == start_of_line)
    return np.add.reduceat(looked, starts)
