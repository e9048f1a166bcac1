"""`source.rationales`: whose outputs the training records get, and what is measured of them."""

import json
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from kitrec.core.domains import KITREC
from kitrec.core.errors import InputError
from kitrec.preprocessing.params import EndpointRationales, TemplateRationales
from kitrec.preprocessing.preference_pairs import preference_pairs
from kitrec.sources.category_teacher import CategoryTeacher
from kitrec.sources.evidence import parse_statement, sentences
from kitrec.synthetic.teacher import add_teacher_outputs
from stages.lib import output_teacher, runner
from stages.lib.output_teacher import add_outputs
from tests.chat_server import ChatServer, completion, serve
from tests.openai_client.test_client import made_endpoint

ROLES = ("train", "development")


@pytest.fixture
def serving() -> Iterator[Any]:
    running = []

    def start(answer) -> ChatServer:
        chat = ChatServer(answer)
        running.append(serve(chat))
        return chat

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(runner, "WORK", tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return tmp_path


def explained(p, world, dataset):
    return add_outputs(p, CategoryTeacher(world.items, KITREC), dataset, world.items, 7, quiet=True)


def training_records(data, which="A"):
    return pl.concat([data.records[which][role] for role in ROLES])


def test_by_default_the_sources_own_teacher_writes_and_nothing_is_measured(world, dataset):
    result = explained(TemplateRationales(kind="categories"), world, dataset)
    before = add_teacher_outputs(dataset, CategoryTeacher(world.items, KITREC))
    assert training_records(result.dataset).equals(training_records(before)) and result.metrics == {}


def test_every_statement_of_the_evidence_teacher_holds_and_counts_training_users_alone(world, dataset):
    result = explained(TemplateRationales(kind="evidence"), world, dataset)
    metrics, records = result.metrics["rationales"], training_records(result.dataset)
    assert metrics["outputs"] == records.height and metrics["holding"] == 1.0 and metrics["other_sentences"] == 0
    assert metrics["by_kind"]["users"]["statements"] > 0 and metrics["by_kind"]["category"]["statements"] > 0
    assert set(dataset.training_history["user_id"]) == set(records["user_id"])
    assert result.dataset.records["A"]["test"]["output"].null_count() == dataset.records["A"]["test"].height


def test_pairs_are_written_by_the_same_teacher(world, dataset):
    result = explained(TemplateRationales(kind="evidence"), world, dataset)
    pairs = preference_pairs(7, result.dataset.records["A"]["preference"], result.pair_outputs)
    assert pairs.height == dataset.records["A"]["preference"].height
    for column in ("chosen_output", "rejected_output"):
        assert all(parse_statement(sentence) for output in pairs[column] for sentence in sentences(output))


def test_without_a_teacher_there_are_no_outputs_and_no_pairs(world, dataset):
    result = explained(TemplateRationales(kind="none"), world, dataset)
    assert training_records(result.dataset)["output"].null_count() == training_records(dataset).height
    assert preference_pairs(7, dataset.records["A"]["preference"], result.pair_outputs).height == 0


def test_a_chat_model_chooses_from_true_statements_and_its_replies_are_cached(world, dataset, work, serving):
    def answer(request):
        data = json.loads(request["messages"][1]["content"])
        numbers = [int(number) for number in data["statements"]]
        return 200, completion(json.dumps({"statements": [*numbers, 99], "reason": f"Because\nof {data['item']}."}))

    chat = serving(answer)
    p = EndpointRationales(kind="endpoint", endpoint=made_endpoint(url=chat.url))
    result = explained(p, world, dataset)
    metrics, records = result.metrics["rationales"], training_records(result.dataset)
    assert metrics["teacher"] == "endpoint:judge" and metrics["unusable_replies"] == 0
    assert metrics["holding"] == 1.0 and metrics["other_sentences"] == records.height
    titles = dict(world.items.select("item_id", "title").iter_rows())
    for output, item in records.select("output", "gt_item_id").iter_rows():
        answered = json.loads(output.split("```json\n")[1].removesuffix("\n```"))
        shown = titles[item] or f"(ID: {item})"
        assert answered["item_id"] == item and answered["rationale"] == f"Because of {shown}."
    sent = len(chat.requests)
    assert sent == records.height == len(list((work / "replies").iterdir()))  # set B shows the same histories
    cached = explained(EndpointRationales(kind="endpoint", endpoint=made_endpoint(url=None)), world, dataset)
    assert training_records(cached.dataset).equals(records) and len(chat.requests) == sent


@pytest.mark.usefixtures("work")
def test_unusable_replies_are_replaced_by_the_template_and_counted(world, dataset, serving):
    broken = cycle(["no JSON", "[1]", '{"statements": 1, "reason": "x"}', '{"statements": [1], "reason": " "}', "null"])
    chat = serving(lambda _: (200, completion(next(broken))))
    p = EndpointRationales(kind="endpoint", endpoint=made_endpoint(url=chat.url))
    result = explained(p, world, dataset)
    template = explained(TemplateRationales(kind="evidence"), world, dataset)
    assert training_records(result.dataset).equals(training_records(template.dataset))
    assert result.metrics["rationales"]["unusable_replies"] == training_records(dataset).height


@pytest.mark.usefixtures("work")
def test_the_budget_is_a_cap(world, dataset, serving):
    chat = serving(lambda _: (200, completion('{"statements": [1], "reason": "x"}')))
    endpoint = made_endpoint(url=chat.url, input_price=1000.0, output_price=1000.0, budget=2.0)
    with pytest.raises(InputError, match=r"endpoint.budget is 2"):
        explained(EndpointRationales(kind="endpoint", endpoint=endpoint), world, dataset)
    assert output_teacher.ROLES == ROLES
