import random

import pytest
from transformers import PreTrainedTokenizerFast

from kitrec.core.errors import InputError
from kitrec.prompts.template import Style, segments
from kitrec.prompts.tokens import Encoder, split_thought

PIECES = [
    "<|im_end|>", "<|im_start|>", "<|endoftext|>", "<think>", "</think>", "(ID: KAROSMELIN)", "## Output Format",
    "```json",
    "\n", "<", "<|", "Silver", " ", '{"item_id": "X"}', "ß漢字", "<<think>think>", "\x00", "|",
]  # fmt: skip


def hostile_texts(count: int) -> list[str]:
    rng = random.Random(5)
    return ["".join(rng.choices(PIECES, k=rng.randint(1, 9))) for _ in range(count)]


def test_no_text_from_data_becomes_a_control_token(tokenizer):
    encoder = Encoder(tokenizer)
    added = set(tokenizer.get_added_vocab().values())
    for text in hostile_texts(1000):
        ids = encoder.plain(text)
        assert not added & set(ids)
        assert tokenizer.decode(ids, skip_special_tokens=False) == text


def test_plain_text_is_encoded_as_the_tokenizer_would(tokenizer, dataset, items):
    encoder = Encoder(tokenizer)
    for record in dataset.records["A"]["test"].iter_rows(named=True):
        text = segments(record, items, Style(thinking=True, answer_items=1, summaries=True)).text()
        assert encoder.plain(text) == tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("thinking", [True, False])
def test_a_whole_turn_is_what_the_chat_template_renders(tokenizer, thinking):
    """With harmless text our ids equal the template's own, prompt and answer; only hostile text differs."""
    encoder = Encoder(tokenizer)
    question, thought, rest = "Which one?\n", "\nBooks themes: Harbor\n", "\n\n```json\n{}\n```"
    prompt = encoder.prompt(question, thinking=thinking)
    messages = [{"role": "user", "content": question}]
    rendered = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, enable_thinking=thinking
    )
    assert prompt == tokenizer(rendered, add_special_tokens=False)["input_ids"]
    answer = encoder.answer(f"<think>{thought}</think>{rest}", thinking=thinking)
    written = f"<think>{thought}</think>{rest}<|im_end|>" if thinking else f"{rest.lstrip()}<|im_end|>"
    assert answer == tokenizer(written, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(prompt + answer) == rendered + written


def test_an_output_is_split_at_the_end_of_its_thought():
    assert split_thought("<think>a</think>b</think>") == ("a", "b</think>")
    assert split_thought("no thought") == ("", "no thought")


def test_a_tokenizer_without_chat_template_is_refused(tokenizer):
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
    bare.chat_template = None
    with pytest.raises(InputError, match="no chat template"):
        Encoder(bare)
