import pytest

from kitrec.errors import InputError
from kitrec.llm.samples import IGNORED, Lesson, pad, training_samples
from kitrec.prompts.fitting import Fitted
from kitrec.prompts.params import Prompt
from kitrec.prompts.tokens import Encoder
from kitrec.world.teacher import TemplateTeacher, with_outputs

LONG = Prompt(max_length=2048, summaries=True)


@pytest.fixture
def records(world, dataset):
    return with_outputs(dataset.records["A"]["train"].head(6), TemplateTeacher(world.themes, world.items))


@pytest.mark.parametrize("thinking", [True, False])
def test_the_prompt_is_masked_and_the_whole_output_learned(records, items, tokenizer, thinking):
    samples = training_samples(records, items, Encoder(tokenizer), LONG, thinking=thinking, seed=1).samples
    for sample, output in zip(samples, records["output"], strict=True):
        learned = [t for t, label in zip(sample["input_ids"], sample["labels"], strict=True) if label != IGNORED]
        expected = output if thinking else output.partition("</think>")[2].lstrip()
        assert tokenizer.decode(learned) == expected + "<|im_end|>"
        start = sample["labels"].index(learned[0])
        assert all(label == IGNORED for label in sample["labels"][:start])
        assert sample["labels"][start:] == sample["input_ids"][start:]
        prompt = tokenizer.decode(sample["input_ids"][:start])
        assert prompt.endswith("<|im_start|>assistant\n" + ("" if thinking else "<think>\n\n</think>\n\n"))


def test_a_record_that_cannot_fit_stops_the_stage_and_names_it(records, items, tokenizer):
    tight = Prompt(max_length=256, summaries=True)
    with pytest.raises(InputError, match=r"6 training records do not fit prompt.max_length: U\w+:\w+:A: even without"):
        training_samples(records, items, Encoder(tokenizer), tight, thinking=True, seed=1)


def test_a_record_over_the_limit_keeps_its_answer_and_its_truth(records, items, tokenizer):
    whole = training_samples(records, items, Encoder(tokenizer), LONG, thinking=True, seed=1)
    limit = max(len(s["input_ids"]) for s in whole.samples) - 100
    tight = Prompt(max_length=limit, summaries=True)
    lesson = training_samples(records, items, Encoder(tokenizer), tight, thinking=True, seed=1)
    assert 0 < lesson.counts()["shortened"]["candidates"] <= 1
    assert pad(lesson.samples, pad_id=0)["records"] == records["record_id"].to_list()
    for record, sample, full, fitted in zip(
        records.iter_rows(named=True), lesson.samples, whole.samples, lesson.fitted, strict=True
    ):
        learned, before = ([t for t in s["labels"] if t != IGNORED] for s in (sample, full))
        assert learned == before and len(sample["input_ids"]) <= limit
        assert f"(ID: {record['gt_item_id']})" in tokenizer.decode(fitted.prompt)


def test_padding_is_on_the_right_and_never_learned():
    rows = [
        {"input_ids": [5, 6, 7], "labels": [IGNORED, 6, 7], "record": "a"},
        {"input_ids": [8], "labels": [8], "record": "b"},
    ]
    batch = pad(rows, pad_id=0)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["labels"].tolist() == [[IGNORED, 6, 7], [8, IGNORED, IGNORED]]
    assert batch["records"] == ["a", "b"]


def test_counts_by_hand():
    samples = [{"input_ids": [1, 2, 3], "labels": [IGNORED, 2, 3]}, {"input_ids": [1], "labels": [IGNORED]}]
    lesson = Lesson(samples, [Fitted([1], ("candidates", "summaries"), 50), Fitted([1], (), 100)])
    assert lesson.counts() == {
        "samples": 2,
        "tokens": 4,
        "longest": 3,
        "supervised_tokens": 2,
        "shortened": {"candidates": 0.5, "summaries": 0.5, "history": 0.0},
    }
