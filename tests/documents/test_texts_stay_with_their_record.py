"""What a prompt says stays with its record, however many records share its items."""

import json

import polars as pl
import pytest

from kitrec.core import tables
from kitrec.llm.finetuning.dataset import tokenize_records
from kitrec.llm.generation.requests import requests_for
from kitrec.parsing.history_mentions import history_mentions
from kitrec.prompts.params import Prompt
from kitrec.prompts.template import Style, segments
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.records import RECORDS, TEXT_COLUMNS
from kitrec.sources.kitrec_dataset import load_dataset
from kitrec.sources.kitrec_jsonl import load
from kitrec.sources.quarantine import Quarantine
from tests.llm.made_methods import made_method
from tests.sources.made_prompts import made_rows

STYLE = Style(thinking=True, answer_items=1, summaries=True)
CANDIDATES = 12


def write(rows, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(made.row) + "\n" for made in rows))
    return [path]


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """3,000 rows over 120 items, and what was read from them."""
    rows = made_rows(1, 3000)
    path = tmp_path_factory.mktemp("rows") / "test.jsonl"
    quarantine = Quarantine()
    loaded = load(write(rows, path), "A", CANDIDATES, quarantine, require_output=False, quiet=True)
    assert quarantine.rejects == [] and loaded.records.height == len(rows)
    return rows, loaded


def rendered(loaded):
    items = {row["item_id"]: row for row in loaded.items.iter_rows(named=True)}
    return [segments(record, items, STYLE) for record in loaded.records.iter_rows(named=True)]


def test_every_record_renders_to_its_own_lines(read):
    rows, loaded = read
    for made, prompt in zip(rows, rendered(loaded), strict=True):
        facts = [f"- {line.partition(') ')[2]}" for line in made.history]
        assert [line for line in prompt.history.splitlines() if line.startswith("- ")] == facts
        assert [line for line in prompt.candidates.splitlines() if line.startswith("(ID: ")] == made.candidates


def test_no_review_of_one_user_is_in_anothers_prompt(read):
    rows, loaded = read
    for made, prompt in zip(rows, rendered(loaded), strict=True):
        wrote = [
            line.split(" wrote of ")[0].rpartition(" ")[2] for line in prompt.text().splitlines() if "wrote" in line
        ]
        assert wrote == [made.row["user_id"]] * len(made.reviews)
    assert not loaded.items["description"].fill_null("").str.contains("wrote of").any()


def test_an_item_of_a_history_keeps_its_average_rating_among_candidates(read):
    _, loaded = read
    for prompt in rendered(loaded):
        lines = [line for line in prompt.candidates.splitlines() if line.startswith("(ID: ")]
        assert all(" | Rating: " in line for line in lines) and len(lines) == CANDIDATES
    targets = loaded.items.filter(pl.col("domain") != "books")
    assert targets["average_rating"].null_count() == 0 and targets.height == 80


def test_published_prompts_are_shown_as_they_stand(read):
    rows, loaded = read
    style = Style(thinking=True, answer_items=10, summaries=False, published=True)
    for made, record in zip(rows, loaded.records.iter_rows(named=True), strict=True):
        assert segments(record, {}, style).text() == made.row["instruction"]


def test_columns_that_a_stage_does_not_need_are_not_read(read, tmp_path):
    _, loaded = read
    tables.write(loaded.records, tmp_path / "r.parquet", RECORDS)
    assert tables.read(tmp_path / "r.parquet", RECORDS).equals(loaded.records)
    lean = tables.read(tmp_path / "r.parquet", RECORDS, leave_out=TEXT_COLUMNS)
    assert lean.equals(loaded.records.drop(TEXT_COLUMNS))


def test_mentions_are_counted_by_the_titles_of_the_users_prompt(read):
    _, loaded = read
    record = loaded.records.head(1)
    names = record.select("record_id")
    title = record["source_texts"][0][0]["title"] or record["source_items"][0][0]
    answers = names.with_columns(text=pl.lit(f"<think>{title}</think>"))
    rankings = names.with_columns(rationale=pl.lit(None, dtype=pl.String))
    other_titles = loaded.items.with_columns(title=pl.lit("Another title"))
    assert history_mentions(answers, rankings, record, other_titles)["history_mentions"].to_list() == [1]


@pytest.mark.parametrize("summaries", [True, False])
def test_training_and_inference_encode_the_published_prompt_alike(dataset, tokenizer, summaries):
    records = dataset.dataset.records["A"]["train"].head(20)
    prompt, encoder = (
        Prompt(max_length=8192, text="published", summaries=summaries, labels=False, answer_begins_with="id"),
        Encoder(tokenizer),
    )
    samples = tokenize_records(records, {}, encoder, prompt, thinking=True, seed=1).samples
    requests = requests_for(records, {}, encoder, made_method("full", thinking=True), prompt)
    for record, sample, request in zip(records.iter_rows(named=True), samples, requests, strict=True):
        assert record["published_prompt"].startswith("# Expert") and " Trained " in record["published_prompt"]
        assert sample.ids[: sample.prompt_length].tolist() == request.prompt
        assert request.prompt == encoder.prompt(record["published_prompt"], thinking=True)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Training, validation and test rows over the same items; in training every title is another one."""
    folder = tmp_path_factory.mktemp("files")
    parts = {"training": made_rows(2, 150, output=True), "preference": made_rows(3, 60), "test": made_rows(4, 60)}
    for made in parts["training"]:
        made.row["instruction"] = made.row["instruction"].replace(" The ", " Trained ")
    files = {}
    for which in "AB":
        for group, rows in parts.items():
            for made in rows:
                made.row["candidate_set"] = which
            files[which, group] = write(rows, folder / which / f"{group}.jsonl")
    quarantine = Quarantine()
    data = load_dataset(files, 1, 0.2, CANDIDATES, quarantine, quiet=True)
    assert quarantine.rejects == []
    return data


def test_text_of_training_never_replaces_text_of_the_test(dataset):
    titles = dict(dataset.items.select("item_id", "title").iter_rows())
    tests = dataset.dataset.records["A"]["test"]
    shown = [text for column in ("source_texts", "candidate_texts") for row in tests[column].to_list() for text in row]
    assert len(shown) > 500
    assert all(titles[text["item_id"]] == text["title"] for text in shown)
    trained = dataset.dataset.records["A"]["train"]["candidate_texts"].to_list()
    assert {text["title"].split()[0] for row in trained for text in row if text["title"]} == {"Trained"}
