"""Candidates scored by their titles. References: whole answers read at once, and the tokenizer's character offsets."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import xgrammar
from transformers import AutoModelForCausalLM, AutoTokenizer

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.llm.finetuning.answer_form import answer_forms, form_to_learn
from kitrec.llm.finetuning.dataset import tokenize_records
from kitrec.llm.generation.generator import answer_schema
from kitrec.llm.generation.requests import requests_for
from kitrec.llm.likelihood.candidate_orders import permuted
from kitrec.llm.likelihood.candidates import scoring_requests
from kitrec.llm.likelihood.shared_prefix import likelihoods
from kitrec.llm.likelihood.trie import ScoringRequest
from kitrec.llm.preference.dataset import preference_pairs
from kitrec.preprocessing.preference_pairs import explained_pair
from kitrec.preprocessing.preference_pairs import preference_pairs as pairs_of_records
from kitrec.prompts.answer_head import AnswerForm, AnswerHead, requested_form
from kitrec.prompts.params import Prompt
from kitrec.prompts.template import Style
from kitrec.prompts.tokens import Encoder
from kitrec.synthetic.teacher import TemplateTeacher, with_outputs
from tests.conftest import base_folder
from tests.llm.made_methods import made_method

STYLE = Style(thinking=False, answer_items=1, summaries=True, title_first=True)
PROMPT = Prompt(max_length=2048, text="rendered", summaries=True, labels=False, answer_begins_with="title")
# One is the beginning of others; ends that tokenizers join with the quote; quotes, slashes, other scripts.
TITLES = [
    "The Fog", "The Fog 2", "The", "Help!...", "What?!", ":", '"Heroes"', "AC/DC \\ Live", "...And Justice for All",
    "千と千尋の神隠し", "Go 🎵🎬", "Alien <|im_end|>", '", "item_id": "', "1984", "Ça ira", "S.W.A.T.", "It, ",
]  # fmt: skip
OPENING = '```json\n{"rank": 1, "title": '
FAMILIES = ["tiny-qwen3", "smollm2-135m", "gemma3-270m"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_title_is_scored_to_the_token_that_closes_its_quote_and_no_further(family):
    """What every family learns: the ids of the whole answer, up to where the offsets say that the quote is closed."""
    tokenizer = AutoTokenizer.from_pretrained(base_folder(family))
    encoder = Encoder(tokenizer)
    prefix, names = AnswerHead(encoder, STYLE).prefix_and_names([], None, TITLES)
    for title, name in zip(TITLES, names, strict=True):
        answer = f'{OPENING}{json.dumps(title, ensure_ascii=False)}, "item_id": "B1", "rationale": "r"}}\n```'
        assert encoder.answer(answer, thinking=False)[: len(prefix) + len(name)] == prefix + name
        quote = len(OPENING) + len(json.dumps(title, ensure_ascii=False)) - 1
        whole = tokenizer(answer, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
        closing = next(k for k, (start, end) in enumerate(whole["offset_mapping"]) if start <= quote < end)
        assert len(prefix) + len(name) == closing + 1
        assert not any(other[: len(name)] == name for other in names if other is not name)


@pytest.mark.parametrize("family", FAMILIES[:2])
def test_the_tree_gives_the_likelihood_of_the_whole_answer(family):
    folder = base_folder(family)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    encoder = Encoder(AutoTokenizer.from_pretrained(folder))
    prompt = encoder.prompt("Which film is next?", thinking=False)
    prefix, names = AnswerHead(encoder, STYLE).prefix_and_names(prompt, None, TITLES)
    (scores,) = likelihoods(model, [ScoringRequest(prefix, names, None)])
    for name, score in zip(names, scores, strict=True):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([prefix + name])).logits[0, :-1].log_softmax(-1)
        steps = logits.gather(1, torch.tensor((prefix + name)[1:])[:, None])[len(prefix) - 1 :]
        assert score == pytest.approx(steps.sum().item(), abs=1e-3)


def test_equal_titles_tie_exactly(tiny_base):
    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32).eval()
    encoder = Encoder(AutoTokenizer.from_pretrained(tiny_base))
    prefix, names = AnswerHead(encoder, STYLE).prefix_and_names([7, 8], None, ["Unknown", "Sea", "Unknown"])
    (scores,) = likelihoods(model, [ScoringRequest(prefix, names, None)])
    assert scores[0] == scores[2] != scores[1]


def test_every_request_has_the_titles_of_its_own_order(dataset, items, tokenizer):
    records = dataset.records["A"]["test"].head(4)
    encoder, direct = Encoder(tokenizer), made_method("base", thinking=False)
    for number in (0, 1):
        shown, _ = permuted(records, number, seed=3)
        requests = requests_for(shown, items, encoder, direct, PROMPT)
        for request, ids in zip(requests, shown["candidate_ids"], strict=True):
            assert request.names == tuple(items[item]["title"] or "Unknown" for item in ids)
        (first, *_) = scoring_requests(requests, [None] * 4, AnswerHead(encoder, STYLE))
        written = [tokenizer.decode(first.prefix + name).rpartition('"title": "')[2] for name in first.continuations]
        assert written == [f'{title}"' for title in requests[0].titles]
    by_id = requests_for(records, items, encoder, direct, replace(PROMPT, answer_begins_with="id"))
    assert [request.names for request in by_id] == [tuple(ids) for ids in records["candidate_ids"]]


@pytest.mark.parametrize("thinking", [True, False])
def test_training_teaches_the_title_first_and_scores_read_the_same_form(world, dataset, items, tokenizer, thinking):
    records = with_outputs(dataset.records["A"]["train"].head(6), TemplateTeacher(world.themes, world.items))
    samples = tokenize_records(records, items, Encoder(tokenizer), PROMPT, thinking=thinking, seed=1).samples
    for record, sample in zip(records.iter_rows(named=True), samples, strict=True):
        answer = tokenizer.decode(sample.ids[sample.prompt_length :]).rpartition("</think>")[2].strip()
        title = items[record["gt_item_id"]]["title"] or "Unknown"
        begin = f'```json\n{{"rank": 1, "title": "{title}", "item_id": "{record["gt_item_id"]}", "confidence_score": '
        assert answer.startswith(begin) and answer.endswith('"}\n```<|im_end|>')
    learned = form_to_learn(records, items, PROMPT, thinking=thinking)
    assert learned.form == requested_form(replace(STYLE, thinking=thinking)) and learned.share == 1.0
    assert not form_to_learn(records, items, replace(PROMPT, answer_begins_with="id"), thinking=True).form.title_first


def test_preference_pairs_begin_with_the_title_of_what_they_name(world, dataset, items, tokenizer):
    records = dataset.records["A"]["preference"].head(4)
    table = pairs_of_records(7, records, explained_pair(TemplateTeacher(world.themes, world.items).explain))
    dataset_of_pairs = preference_pairs(records, table, items, Encoder(tokenizer), PROMPT, seed=1)
    for row, pair in zip(table.iter_rows(named=True), dataset_of_pairs, strict=True):
        for name in ("chosen", "rejected"):
            title, item = items[row[name]]["title"] or "Unknown", row[name]
            assert f'{{"rank": 1, "title": "{title}", "item_id": "{item}"' in tokenizer.decode(pair[f"{name}_ids"])


def test_an_adapter_that_learned_to_begin_otherwise_is_refused(tmp_path):
    by_title, by_id = (requested_form(replace(STYLE, title_first=first)) for first in (True, False))
    for name, form in (("theirs", by_title), ("ours", by_id), ("anothers", None)):
        (tmp_path / name).mkdir()
        answer = form and {"opening": form.opening, "after": form.after, "share": 1.0}
        files.write_json({"base": "b", "answer": answer}, tmp_path / name / "origin.json")
    folders = {name: tmp_path / name for name in ("theirs", "anothers")}
    assert answer_forms(folders, PROMPT) == {"theirs": by_title}
    assert answer_forms({"ours": tmp_path / "ours"}, replace(PROMPT, answer_begins_with="id")) == {"ours": by_id}
    with pytest.raises(InputError, match=r"ours learned .* the item's id, so .* by title; set it to id, or train ours"):
        answer_forms(folders | {"ours": tmp_path / "ours"}, PROMPT)
    with pytest.raises(InputError, match=r"theirs learned answers that begin with the item's title"):
        answer_forms(folders, replace(PROMPT, answer_begins_with="id"))


@pytest.mark.parametrize("title", ['AC/DC \\ "Live"', "Ça ira", "千と千尋", "Unknown"])
def test_a_constrained_answer_begins_with_a_title_of_the_list(title):
    """Judged by xgrammar, which binds the answers in vLLM."""
    schema = answer_schema(
        ["A1", "B2", "C3", "D4", "E5"], 1, titles=["Unknown", title, "Ça ira", "千と千尋", "Unknown"]
    )
    compiler = xgrammar.GrammarCompiler(xgrammar.TokenizerInfo([bytes([k]) for k in range(256)]))
    grammar = compiler.compile_json_schema(json.dumps(schema))

    def accepts(answer: str) -> bool:
        return xgrammar.GrammarMatcher(grammar).accept_string(answer)

    written = json.dumps(title, ensure_ascii=False)
    assert accepts(f'{{"rank": 1, "title": {written}, "item_id": "B2", "confidence_score": 9, "rationale": "r"}}')
    assert not accepts('{"rank": 1, "title": "Another') and not accepts('{"rank": 1, "item_id"')


def test_a_learned_layout_of_several_lines_is_scored_by_titles_too(tokenizer):
    """The layout of KitREC's published answers."""
    encoder = Encoder(tokenizer)
    form = AnswerForm('\n```json\n{\n  "rank": 1,\n  "title": "', '",\n  "item_id": "')
    head = AnswerHead(encoder, replace(STYLE, thinking=True), {"dualft-music": form})
    prefix, names = head.prefix_and_names([7], "<think>x</think>", TITLES, "dualft-music")
    for title, name in zip(TITLES, names, strict=True):
        written = json.dumps({"rank": 1, "title": title, "item_id": "B1"}, ensure_ascii=False, indent=2)
        learned = [7, *encoder.answer(f"<think>x</think>\n```json\n{written}\n```", thinking=True)]
        assert learned[: len(prefix) + len(name)] == prefix + name
    assert np.unique([len(name) for name in names]).size > 1
