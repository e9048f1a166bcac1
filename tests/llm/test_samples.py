import pytest

from kitrec.errors import InputError
from kitrec.llm.samples import IGNORED, pad, token_counts, training_samples
from kitrec.prompts.params import Prompt
from kitrec.prompts.tokens import Encoder
from kitrec.world.teacher import TemplateTeacher, with_outputs

LONG = Prompt(max_length=2048, summaries=True)


@pytest.fixture
def records(world, dataset):
    return with_outputs(dataset.records["A"]["train"].head(6), TemplateTeacher(world.themes, world.items))


@pytest.mark.parametrize("thinking", [True, False])
def test_the_prompt_is_masked_and_the_whole_output_learned(records, items, tokenizer, thinking):
    samples = training_samples(records, items, Encoder(tokenizer), LONG, thinking=thinking)
    for sample, output in zip(samples, records["output"], strict=True):
        learned = [t for t, label in zip(sample["input_ids"], sample["labels"], strict=True) if label != IGNORED]
        expected = output if thinking else output.partition("</think>")[2].lstrip()
        assert tokenizer.decode(learned) == expected + "<|im_end|>"
        start = sample["labels"].index(learned[0])
        assert all(label == IGNORED for label in sample["labels"][:start])
        assert sample["labels"][start:] == sample["input_ids"][start:]
        prompt = tokenizer.decode(sample["input_ids"][:start])
        assert prompt.endswith("<|im_start|>assistant\n" + ("" if thinking else "<think>\n\n</think>\n\n"))


def test_a_record_over_the_limit_stops_the_stage_and_names_the_length(records, items, tokenizer):
    with pytest.raises(InputError, match=r"6 training records are longer than 256 tokens .* raise it to \d+"):
        training_samples(records, items, Encoder(tokenizer), Prompt(max_length=256, summaries=True), thinking=True)


def test_padding_is_on_the_right_and_never_learned():
    batch = pad([{"input_ids": [5, 6, 7], "labels": [IGNORED, 6, 7]}, {"input_ids": [8], "labels": [8]}], pad_id=0)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["labels"].tolist() == [[IGNORED, 6, 7], [8, IGNORED, IGNORED]]


def test_token_counts_by_hand():
    samples = [{"input_ids": [1, 2, 3], "labels": [IGNORED, 2, 3]}, {"input_ids": [1], "labels": [IGNORED]}]
    assert token_counts(samples) == {"samples": 2, "tokens": 4, "longest": 3, "supervised_tokens": 2}
