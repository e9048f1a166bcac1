import re

import numpy as np
import pytest

from kitrec.core.errors import InputError
from kitrec.llm.finetuning.dataset import (
    IGNORE_INDEX,
    Sample,
    TokenizedDataset,
    cached_dataset,
    collate,
    tokenize_records,
)
from kitrec.prompts.params import Prompt
from kitrec.prompts.tokens import Encoder
from kitrec.synthetic.teacher import TemplateTeacher, with_outputs

LONG = Prompt(max_length=2048, text="rendered", summaries=True, labels=False, answer_begins_with="id")


@pytest.fixture
def records(world, dataset):
    return with_outputs(dataset.records["A"]["train"].head(6), TemplateTeacher(world.themes, world.items))


@pytest.mark.parametrize("thinking", [True, False])
def test_the_prompt_is_masked_and_the_whole_output_learned(records, items, tokenizer, thinking):
    samples = tokenize_records(records, items, Encoder(tokenizer), LONG, thinking=thinking, seed=1).samples
    for sample, output in zip(samples, records["output"], strict=True):
        expected = output if thinking else output.partition("</think>")[2].lstrip()
        assert tokenizer.decode(sample.ids[sample.prompt_length :]) == expected + "<|im_end|>"
        prompt = tokenizer.decode(sample.ids[: sample.prompt_length])
        assert prompt.endswith("<|im_start|>assistant\n" + ("" if thinking else "<think>\n\n</think>\n\n"))


def test_a_record_that_cannot_fit_stops_the_stage_and_names_it(records, items, tokenizer):
    tight = Prompt(max_length=256, text="rendered", summaries=True, labels=False, answer_begins_with="id")
    with pytest.raises(InputError, match=r"6 training records do not fit prompt.max_length: U\w+:\w+:A: even without"):
        tokenize_records(records, items, Encoder(tokenizer), tight, thinking=True, seed=1)


def test_a_record_over_the_limit_keeps_its_answer_and_its_held_out_item(records, items, tokenizer):
    whole = tokenize_records(records, items, Encoder(tokenizer), LONG, thinking=True, seed=1)
    limit = max(map(len, whole.samples)) - 100
    tight = Prompt(max_length=limit, text="rendered", summaries=True, labels=False, answer_begins_with="id")
    dataset = tokenize_records(records, items, Encoder(tokenizer), tight, thinking=True, seed=1)
    assert 0 < dataset.statistics()["shortened"]["candidates"] <= 1
    assert collate(dataset.samples, pad_id=0)["record_ids"] == records["record_id"].to_list()
    for record, sample, full in zip(records.iter_rows(named=True), dataset.samples, whole.samples, strict=True):
        assert (
            sample.ids[sample.prompt_length :].tolist() == full.ids[full.prompt_length :].tolist()
            and len(sample) <= limit
        )
        assert f"(ID: {record['gt_item_id']})" in tokenizer.decode(sample.ids[: sample.prompt_length])


def test_a_label_belongs_to_its_item_also_when_candidates_were_cut_and_shuffled(records, items, tokenizer):
    labelled = Prompt(max_length=2048, text="rendered", summaries=True, labels=True, answer_begins_with="id")
    whole = tokenize_records(records, items, Encoder(tokenizer), labelled, thinking=True, seed=1)
    tight = Prompt(
        max_length=max(map(len, whole.samples)) - 100,
        text="rendered",
        summaries=True,
        labels=True,
        answer_begins_with="id",
    )
    cut = tokenize_records(records, items, Encoder(tokenizer), tight, thinking=True, seed=1)
    assert any("candidates" in cuts for cuts in cut.cuts)
    for dataset in (whole, cut):
        for record, sample in zip(records.iter_rows(named=True), dataset.samples, strict=True):
            text = tokenizer.decode(sample.ids)
            label = re.search(r'{"label": "(\w+)", "rank": 1, "item_id": "(\w+)"', text.rpartition("</think>")[2])
            assert label.group(2) == record["gt_item_id"]
            assert f"\n{label.group(1)}: (ID: {label.group(2)}) " in tokenizer.decode(
                sample.ids[: sample.prompt_length]
            )


def made_sample(record_id: str, ids: list[int], prompt_length: int) -> Sample:
    return Sample(record_id, np.array(ids, dtype=np.int32), prompt_length)


def test_padding_is_on_the_right_and_never_learned():
    batch = collate([made_sample("a", [5, 6, 7], 1), made_sample("b", [8], 0)], pad_id=0)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["labels"].tolist() == [[IGNORE_INDEX, 6, 7], [8, IGNORE_INDEX, IGNORE_INDEX]]
    assert batch["lengths"].tolist() == [3, 1] and batch["record_ids"] == ["a", "b"]


def test_statistics_by_hand():
    samples = [made_sample("a", [1, 2, 3], 1), made_sample("b", [1], 1)]
    dataset = TokenizedDataset(samples, [("candidates", "summaries"), ()], [50, 100])
    assert dataset.statistics() == {
        "samples": 2,
        "tokens": 4,
        "longest": 3,
        "supervised_tokens": 2,
        "shortened": {"candidates": 0.5, "summaries": 0.5, "history": 0.0},
    }


def test_records_are_tokenized_once_and_samples_are_read_back_whole(tmp_path):
    calls = []

    def tokenize() -> TokenizedDataset:
        calls.append(1)
        return TokenizedDataset(
            [made_sample("a", [1, 2, 3], 1), made_sample("b", [4], 0)], [("summaries",), ()], [50, 100]
        )

    first, second = (cached_dataset(tokenize, tmp_path / "train.parquet") for _ in range(2))
    assert len(calls) == 1 and second.cuts == first.cuts == [("summaries",), ()] and second.shown == [50, 100]
    assert [(s.record_id, s.ids.tolist(), s.ids.dtype, s.prompt_length) for s in second.samples] == [
        ("a", [1, 2, 3], np.int32, 1),
        ("b", [4], np.int32, 0),
    ]
