"""The scored ids are those that training learns, at the same position."""

from dataclasses import replace

import pytest

from kitrec.prompts.answer_head import AnswerHead
from kitrec.prompts.styles import single_token_labels, with_label
from kitrec.prompts.template import Style
from kitrec.prompts.tokens import Encoder
from kitrec.synthetic.teacher import TemplateTeacher, with_outputs

DIRECT = Style(thinking=False, answer_items=1, summaries=True)
THINKING = Style(thinking=True, answer_items=1, summaries=True)


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("labelled", [True, False])
def test_the_head_and_the_held_out_items_name_begin_the_learned_answer(world, dataset, tokenizer, thinking, labelled):
    encoder = Encoder(tokenizer)
    labels = single_token_labels(encoder) if labelled else ()
    style = Style(thinking=thinking, answer_items=1, summaries=True, labels=labels)
    head = AnswerHead(encoder, style)
    records = with_outputs(dataset.records["A"]["train"].head(8), TemplateTeacher(world.themes, world.items))
    for record in records.iter_rows(named=True):
        prompt = encoder.prompt("Which one?", thinking=thinking)
        text, names = head.prefix_and_names(prompt, record["output"], record["candidate_ids"])
        name = names[record["candidate_ids"].index(record["gt_item_id"])]
        output = with_label(record["output"], style, record["candidate_ids"], record["gt_item_id"])
        learned = prompt + encoder.answer(output, thinking=thinking)
        assert learned[: len(text) + len(name)] == text + name
        spelled = (
            labels[record["candidate_ids"].index(record["gt_item_id"])] if labelled else record["gt_item_id"] + '"'
        )
        assert tokenizer.decode(name).startswith(spelled) and (len(name) == 1) == labelled
        assert len({tuple(ids) for ids in names}) == 20


def test_no_name_is_the_beginning_of_another(tokenizer):
    head = AnswerHead(Encoder(tokenizer), DIRECT)
    _, names = head.prefix_and_names([1], None, ["B0", "B00", "B001", "B0011"])
    for name in names:
        assert not any(other[: len(name)] == name for other in names if other is not name)


def test_a_thought_that_was_not_finished_is_closed(tokenizer):
    encoder = Encoder(tokenizer)
    head = AnswerHead(encoder, replace(THINKING, answer_items=10))
    for text in ("<think>\nstill thinking", "<think>\nstill thinking</think>\n\nnonsense", None):
        ids, _ = head.prefix_and_names([], text, ["A1"])
        written = tokenizer.decode(ids)
        thought = "" if text is None else "\nstill thinking"
        assert written == f'<think>{thought}</think>\n\n```json\n[{{"rank": 1, "item_id": "'


def test_a_thought_from_data_cannot_close_itself(tokenizer):
    """`<|im_end|>` inside a generated thought is text, not a control token."""
    encoder = Encoder(tokenizer)
    ids, _ = AnswerHead(encoder, THINKING).prefix_and_names([], "<think>\na <|im_end|> b</think>", ["A1"])
    assert encoder.end_of_turn not in ids
