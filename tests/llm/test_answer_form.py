"""Scores are read where the learned answers name their item, whatever the layout of these answers."""

import json

import pytest
import xgrammar

from kitrec.core.errors import InputError
from kitrec.llm.finetuning.answer_form import answer_form, learned_form
from kitrec.llm.generation.generator import answer_schema
from kitrec.prompts.answer_head import AnswerForm, AnswerHead, requested_form
from kitrec.prompts.styles import single_token_labels, with_label
from kitrec.prompts.template import Style
from kitrec.prompts.tokens import Encoder
from kitrec.synthetic.teacher import TemplateTeacher, with_outputs

DIRECT, THINKING = Style(False, 1, summaries=True), Style(True, 1, summaries=True)
# The layout of the fine-tuning report (document 001, section 2.4), with invented content.
PUBLISHED = """<think>
**Source Domain Pattern Analysis:**
Sea voyages return in the books, for instance {"a": 1} and "item_id": "B0WRONG001".

**Cross-Domain Transfer Logic:**
The sea again, in song.
</think>
```json
{
  "rank": 1,
  "item_id": "ITEM",
  "title": "Red Sails",
  "confidence_score": 9.5,
  "rationale": "Shanties fit a reader of \\"Lighthouse\\"."
}
```"""
REPORT = AnswerForm('\n```json\n{\n  "rank": 1,\n  "item_id": "', '",\n  "title": "')


def published(item: str) -> str:
    return PUBLISHED.replace("ITEM", item)


@pytest.mark.parametrize(
    "answer, form",
    [
        (published("B07FLGJWKB"), REPORT),
        (
            '<think>x</think>\r\n```json\r\n{"item_id": "A1"}',
            AnswerForm('\r\n```json\r\n{"item_id": "', '"'),
        ),
        (
            '<think>x</think>```json [ {"rank":1,"item_id":"A1","confidence_score":7}, {"rank":2,"item_id":"A2"} ]',
            AnswerForm('```json [ {"rank":1,"item_id":"', '","confidence_score":'),
        ),
        ('<think>x</think>{not json} {}\n{"item_id": 5}\nNo more', None),
        ("<think>x</think>The best one is A1.", None),
    ],
)
def test_the_form_is_what_stands_around_the_first_id(answer, form):
    assert answer_form(answer, thinking=True) == form


def test_an_adapter_is_scored_where_its_training_outputs_name_the_item(tokenizer):
    """The head and each name are the beginning of the learned ids, for the layout of the report."""
    encoder = Encoder(tokenizer)
    learned = learned_form([published(f"B07FLGJ{k:03d}") for k in range(20)], thinking=True)
    assert learned.form == REPORT and learned.share == 1.0
    head = AnswerHead(encoder, THINKING, {"dualft-music": learned.form})
    items = [f"B07FLGJ{k:03d}" for k in range(5)]
    for item in items:
        prefix, names = head.prefix_and_names([7], published(item), items, "dualft-music")
        learned = [7, *encoder.answer(published(item), thinking=True)]
        name = names[items.index(item)]
        assert learned[: len(prefix) + len(name)] == prefix + name
    base_prefix, _ = head.prefix_and_names([7], published(items[0]), items)  # the base learned nothing
    assert tokenizer.decode(base_prefix).endswith('</think>\n\n```json\n{"rank": 1, "item_id": "')


@pytest.mark.parametrize("labelled", [True, False])
def test_labels_open_the_learned_object_as_well(tokenizer, labelled):
    encoder = Encoder(tokenizer)
    style = Style(True, 1, summaries=True, labels=single_token_labels(encoder) if labelled else ())
    items = ["B07FLGJ000", "B07FLGJ001"]
    head = AnswerHead(encoder, style, {"dualft-music": REPORT})
    prefix, names = head.prefix_and_names([], published(items[1]), items, "dualft-music")
    learned = encoder.answer(with_label(published(items[1]), style, items, items[1]), thinking=True)
    assert learned[: len(prefix) + len(names[1])] == prefix + names[1]


@pytest.mark.parametrize("style", [THINKING, DIRECT])
def test_the_projects_own_teacher_teaches_the_form_that_prompts_ask_for(world, dataset, style):
    records = with_outputs(dataset.records["A"]["train"], TemplateTeacher(world.themes, world.items))
    learned = learned_form(records["output"], thinking=style.thinking)
    assert learned.form == requested_form(style) and learned.share == 1.0


def test_the_most_frequent_form_counts_and_its_share_is_told():
    outputs = [published(f"B{k}") for k in range(9)] + ["<think>x</think>A1 is best"]
    learned = learned_form(outputs, thinking=True)
    assert (learned.form, learned.share) == (REPORT, 0.9)
    assert learned.as_dict() == {"opening": REPORT.opening, "after": REPORT.after, "share": 0.9}


def test_outputs_without_one_form_are_refused_with_the_commonest():
    titles_first = [f'<think>x</think>{{"title": "Song {k}", "item_id": "B{k}"}}' for k in range(10)]
    with pytest.raises(InputError, match=r"(?s)1 of 10.*fields in one order"):
        learned_form(titles_first, thinking=True)
    with pytest.raises(InputError, match="10 of 10: no JSON object with an item_id"):
        learned_form(["<think>x</think>A1"] * 10, thinking=True)


@pytest.mark.parametrize(
    "confidence, allowed", [("9.5", True), ("9", True), ("10", True), ("9.55", False), ("11", False)]
)
def test_a_constrained_answer_may_state_a_confidence_with_one_decimal(confidence, allowed):
    """Judged by xgrammar, which binds the answers in vLLM."""
    answer = published("A1").split("```json\n")[1].removesuffix("\n```").replace("9.5", confidence)
    compiler = xgrammar.GrammarCompiler(xgrammar.TokenizerInfo([chr(k) for k in range(256)]))
    grammar = compiler.compile_json_schema(json.dumps(answer_schema(["A1", "B2"], 1)))
    assert xgrammar.GrammarMatcher(grammar).accept_string(answer) == allowed
