"""Templates as families write them, on the tokenizer of the tiny base."""

import copy
from pathlib import Path

import pytest
import trl
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from kitrec.core.errors import InputError
from kitrec.prompts.tokens import Encoder

TURN = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
START = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


@pytest.fixture
def templated(tokenizer):
    """Give the tiny base's tokenizer another template."""

    def make(template: str):
        other = copy.deepcopy(tokenizer)
        other.chat_template = template
        return other

    return make


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (f"<|im_start|>user\nHello<|im_end|>{START}", "drops the user's text"),
        (TURN + "{{ m['content'] }}<|im_end|>{% endfor %}" + START, "writes the user's text more than once"),
        (TURN + "\n###\n{% endfor %}" + START, r"ends an assistant's message by text"),
        (TURN + "<|im_end|>\n{% endfor %}" + START.replace("t\n", "t\n<think>\n"), "opens a thought itself"),
        ("{{ raise_exception('only pictures') }}", "cannot render a conversation of texts .only pictures."),
        ("{% for m in messages %}{{ m['content'][0]['text'] }}{% endfor %}", "cannot render|drops the user's text"),
        (
            "{% for m in messages if m['role'] == 'user' %}{{ m['content'] }}<|im_end|>{% endfor %}",
            "drops the assistant's text",
        ),
    ],
)
def test_a_template_that_breaks_what_is_needed_is_refused_with_the_reason(templated, template, message):
    with pytest.raises(InputError, match=message):
        Encoder(templated(template))


def test_the_end_of_a_turn_is_the_first_control_token_that_the_template_writes(templated):
    for behind, end in (("<|endoftext|>", 0), (" <|endoftext|>\n", 0), ("<|im_end|>\n<|endoftext|>", 2), ("\n", 2)):
        encoder = Encoder(templated(f"{TURN}{behind}{{% endfor %}}{START}"))
        assert encoder.end_of_turn == end  # the last: nothing but a line break, so EOS
        assert encoder.answer("{}", thinking=False)[-1] == end
        assert encoder.stops == ([0] if end == 0 else [])  # EOS itself needs no mention


def test_a_system_line_of_the_template_is_a_part_of_every_prompt(templated):
    encoder = Encoder(templated("<|im_start|>system\nBe kind.<|im_end|>\n" + TURN + "<|im_end|>\n{% endfor %}" + START))
    text = encoder.text(encoder.prompt("Which?", thinking=True))
    assert text.startswith("<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nWhich?")


def test_a_template_that_writes_the_date_writes_the_same_one_every_day(templated):
    """Llama 3.2 takes `date_string` where it is given, SmolLM3 asks `strftime_now`: prompts must not depend on it."""
    for date in ("{{ strftime_now('%d %b %Y') }}", "{{ date_string }}"):
        encoder = Encoder(templated(date + TURN + "<|im_end|>\n{% endfor %}" + START))
        assert encoder.text(encoder.prompt("Q", thinking=True)).startswith("01 Jan 2025<|im_start|>")


@pytest.mark.parametrize("written", ["", "{{ bos_token }}"])
def test_bos_stands_once_whoever_writes_it(templated, written):
    other = templated(written + TURN + "<|im_end|>\n{% endfor %}" + START)
    other.bos_token = "<|endoftext|>"
    backend = other.backend_tokenizer
    backend.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    assert other("a")["input_ids"][0] == 0
    prompt = Encoder(other).prompt("Which?", thinking=True)
    assert prompt[0] == 0 and prompt.count(0) == 1


def test_a_tokenizer_that_changes_what_it_encodes_in_pieces_is_refused():
    """SentencePiece's dummy prefix (Llama 2): every piece would begin with a blank."""
    letters = ["▁", *map(chr, range(33, 127)), "\n", "é", "漢", "字", "</s>"]
    backend = Tokenizer(models.BPE({letter: k for k, letter in enumerate(letters)}, []))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    backend.decoder = decoders.Metaspace(prepend_scheme="never")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>")
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{{ eos_token }}{% endfor %}"
    with pytest.raises(InputError, match="does not give a text back that was encoded in pieces"):
        Encoder(tokenizer)


def test_the_template_of_qwen3_is_read_as_published(templated):
    """TRL ships the published templates."""
    folder = Path(trl.__file__).parent / "chat_templates"
    encoder = Encoder(templated((folder / "qwen3.jinja").read_text()))
    direct, thinking = (encoder.text(encoder.prompt("Q", thinking=flag)) for flag in (False, True))
    assert thinking == "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n"
    assert direct == thinking + "<think>\n\n</think>\n\n"
    assert encoder.end_of_turn == 2 and encoder.template_thinks and encoder.stops == []
    with pytest.raises(InputError, match="opens a thought itself"):
        Encoder(templated((folder / "deepseek_r1_distill.jinja").read_text()))
