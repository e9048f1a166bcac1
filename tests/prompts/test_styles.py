import json

import pytest

from kitrec.core.errors import InputError
from kitrec.prompts.params import Prompt
from kitrec.prompts.styles import prompt_style, single_token_labels, with_label
from kitrec.prompts.template import Style, segments
from kitrec.prompts.tokens import Encoder

LABELLED = Prompt(max_length=2048, text="rendered", summaries=True, labels=True, answer_begins_with="id")


@pytest.fixture
def encoder(tokenizer):
    return Encoder(tokenizer)


def test_there_are_labels_for_a_hundred_candidates_and_each_is_one_token_of_its_own(encoder):
    labels = single_token_labels(encoder)
    assert len(labels) >= 100
    assert len({tuple(encoder.plain(label)) for label in labels}) == len(labels)
    assert all(len(encoder.plain(label)) == 1 for label in labels)


def test_every_candidate_line_begins_with_its_label_and_the_output_format_names_it(dataset, items, encoder):
    record = dataset.records["A"]["test"].row(0, named=True)
    style = prompt_style(LABELLED, encoder, thinking=True)
    parts = segments(record, items, style)
    lines = [line for line in parts.candidates.splitlines() if "(ID: " in line]
    plain = segments(record, items, Style(thinking=True, answer_items=1, summaries=True))
    assert [line.split(": ", 1)[0] for line in lines] == list(style.labels[: len(lines)])
    assert [line.split(": ", 1)[1] for line in lines] == [s for s in plain.candidates.splitlines() if "(ID: " in s]
    assert '{"label": "...", "rank": 1, "item_id"' in parts.task and "label" not in plain.task


@pytest.mark.parametrize(
    "answer",
    ['```json\n{"rank": 1, "item_id": "B"}\n```', '{\n  "rank": 1,\n  "item_id": "B"\n}', '[{"item_id": "B"}]'],
)
def test_an_answer_begins_with_the_label_of_its_item_whatever_its_layout(answer):
    style = Style(thinking=True, answer_items=1, summaries=True, labels=("A", "B", "C"))
    output = with_label("<think>\n{a thought}</think>\n\n" + answer, style, ["X", "Z", "B"], "B")
    thought, _, rest = output.partition("</think>")
    assert thought == "<think>\n{a thought}"
    parsed = json.loads(rest.strip("\n`").removeprefix("json"))
    entry = parsed[0] if isinstance(parsed, list) else parsed
    assert next(iter(entry)) == "label" and entry["label"] == "C" and entry["item_id"] == "B"


def test_more_candidates_than_labels_and_outputs_without_an_object_are_refused(dataset, items):
    record = dataset.records["A"]["test"].row(0, named=True)
    style = Style(thinking=True, answer_items=1, summaries=True, labels=("A", "B"))
    with pytest.raises(InputError, match="2 labels of one token, for 20 items"):
        segments(record, items, style)
    with pytest.raises(InputError, match="without a JSON object"):
        with_label("<think>x</think>I like B", style, ["B"], "B")
