"""Answers that begin with the title: prompt, learned answer and scored names, against texts written by hand."""

from dataclasses import replace

import pytest

from kitrec.core import params
from kitrec.core.errors import InputError
from kitrec.prompts.answer_head import AnswerForm, AnswerHead
from kitrec.prompts.params import Prompt
from kitrec.prompts.styles import learned_answer
from kitrec.prompts.template import Style, segments
from kitrec.prompts.title_first import shown_titles, with_title_first
from kitrec.prompts.tokens import Encoder
from kitrec.synthetic.teacher import TemplateTeacher, with_outputs
from tests.conftest import ROOT

DIRECT = Style(thinking=False, answer_items=1, summaries=True, title_first=True)
THINKING = replace(DIRECT, thinking=True)
RECORD = {"record_id": "u:movies:A", "candidate_ids": ["B1", "B2", "B3"]}
ITEMS = {"B1": {"title": 'Say "Sea"'}, "B2": {"title": "Ça ira / 2"}, "B3": {"title": None}}


def test_the_prompt_asks_for_the_title_before_the_id(dataset, items):
    record = dataset.records["A"]["test"].row(0, named=True)
    text = segments(record, items, DIRECT).text()
    assert text.endswith(
        "\n## Output Format\nOne JSON object in a code block, the best candidate:\n"
        '{"rank": 1, "title": "...", "item_id": "...", "confidence_score": 1-10, "rationale": "..."}\n'
    )
    ten = segments(record, items, replace(THINKING, answer_items=10)).text()
    assert ten.endswith(
        ' best first:\n[{"rank": 1, "title": "...", "item_id": "...", "confidence_score": 1-10, '
        '"rationale": "..."}, ...]\n'
    )
    by_id = segments(record, items, replace(DIRECT, title_first=False)).text()
    assert by_id.endswith(
        '{"rank": 1, "item_id": "...", "title": "...", "confidence_score": 1-10, "rationale": "..."}\n'
    )


@pytest.mark.parametrize(
    "output, item, expected",
    [
        (
            '<think>\n{"item_id": "B2"}</think>\n```json\n'
            '{"rank": 1, "item_id": "B1", "title": "x", "rationale": "r"}\n```',
            "B1",
            '<think>\n{"item_id": "B2"}</think>\n```json\n'
            '{"rank": 1, "title": "Say \\"Sea\\"", "item_id": "B1", "rationale": "r"}\n```',
        ),
        (  # as published: over several lines; the title escaped otherwise; a rationale stays as it stands
            '<think>x</think>\n{\n  "rank": 1,\n  "item_id": "B2",\n  "title": "\\u00c7a ira \\/ 2",\n'
            '  "rationale": "\\u00c7a, </think>"\n}',
            "B2",
            '<think>x</think>\n{\n  "rank": 1,\n  "title": "Ça ira / 2",\n  "item_id": "B2",\n'
            '  "rationale": "\\u00c7a, </think>"\n}',
        ),
        ('[{"item_id":"B3","rank":1,"title":"Sea"}]', "B3", '[{"title":"Unknown","item_id":"B3","rank":1}]'),
        (
            'Here: {"title": "Say \\"Sea\\"", "rank": 1, "item_id": "B1"} {"item_id": "B2"}',
            "B1",
            'Here: {"rank": 1, "title": "Say \\"Sea\\"", "item_id": "B1"} {"item_id": "B2"}',
        ),
    ],
)
def test_a_learned_answer_names_the_title_as_the_prompt_shows_it_and_then_the_id(output, item, expected):
    assert with_title_first(output, RECORD, ITEMS, item) == expected
    assert learned_answer(output, THINKING, RECORD, ITEMS, ["B1"], item) == expected
    assert learned_answer(output, replace(THINKING, title_first=False), RECORD, ITEMS, ["B1"], item) == output


@pytest.mark.parametrize(
    "answer",
    [
        "The best one is B1.",
        '{"rank": 1, "item_id": "B1"}',
        '{"item_id": "B2", "title": "Ça ira / 2"}',
        '{"item_id": "B1", "title": "a", "title": "b"}',
        '{"item_id": "B1", "title": "cut',
    ],
)
def test_an_answer_that_cannot_be_turned_is_refused_by_record(answer):
    with pytest.raises(
        InputError, match=r"answer of u:movies:A cannot .* name B1 .*; .*prompt\.answer_begins_with to id"
    ):
        with_title_first(f"<think>x</think>{answer}", RECORD, ITEMS, "B1")


def test_titles_are_those_of_the_records_own_prompt_where_it_has_texts():
    texts = [{"item_id": item, "title": f"Mine {item}", "categories": ""} for item in RECORD["candidate_ids"]]
    shown = {**RECORD, "candidate_ids": ["B3", "B1"], "candidate_texts": texts}
    assert shown_titles(shown, ITEMS) == ("Mine B3", "Mine B1")
    assert shown_titles(RECORD, ITEMS) == ('Say "Sea"', "Ça ira / 2", "Unknown")


def test_published_prompts_and_labels_are_refused():
    prompt = params.load(Prompt, "prompt", ROOT / "params.yaml")
    assert prompt.answer_begins_with == "id" and "answer_begins_with" not in prompt.form
    title = replace(prompt, answer_begins_with="title")
    assert title.form == {**prompt.form, "answer_begins_with": "title"}
    with pytest.raises(ValueError, match="published prompts ask for the id first; set it to id, or text to rendered"):
        replace(title, text="published")
    with pytest.raises(ValueError, match="with labels, answers begin with these; set it to id, or labels to false"):
        replace(title, labels=True)


@pytest.mark.parametrize("style", [THINKING, DIRECT])
def test_the_head_and_the_held_out_items_title_begin_the_learned_answer(world, dataset, items, tokenizer, style):
    encoder = Encoder(tokenizer)
    head = AnswerHead(encoder, style)
    records = with_outputs(dataset.records["A"]["train"].head(8), TemplateTeacher(world.themes, world.items))
    for record in records.iter_rows(named=True):
        titles, item = shown_titles(record, items), record["gt_item_id"]
        prefix, names = head.prefix_and_names([7], record["output"], titles)
        output = with_title_first(record["output"], record, items, item)
        learned = [7, *encoder.answer(output, thinking=style.thinking)]
        name = names[record["candidate_ids"].index(item)]
        assert learned[: len(prefix) + len(name)] == prefix + name
        assert tokenizer.decode(prefix + name).endswith(f'{{"rank": 1, "title": "{items[item]["title"] or "Unknown"}"')


def test_a_form_knows_whether_it_leads_to_a_title():
    assert AnswerForm('\n{\n  "rank": 1,\n  "title" : "', '",').title_first
    assert not AnswerForm('{"title": "x", "item_id": "', '"').title_first
