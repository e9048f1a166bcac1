"""The real client against a real server: retries, keys, errors, budget, and cached replies."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kitrec.core.errors import InputError
from kitrec.openai_client.client import complete
from kitrec.openai_client.params import Endpoint
from kitrec.openai_client.replies import Reply, ReplyCache
from kitrec.openai_client.request import ChatRequest, build_request, max_cost
from tests.chat_server import Answer, ChatServer, completion, serve
from tests.conftest import ROOT

CLOSED = "http://127.0.0.1:9/v1"  # the port of `discard`: no server listens
SCHEMA = {"title": "word", "type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}
DEFAULTS: dict[str, Any] = {
    "url": None,
    "model": "judge",
    "temperature": 0.5,
    "max_tokens": 50,
    "max_tokens_parameter": "max_tokens",
    "timeout": 5.0,
    "retries": 3,
    "max_concurrency": 4,
    "input_price": 0.0,
    "output_price": 0.0,
    "budget": 1.0,
}


def made_endpoint(**changes: Any) -> Endpoint:
    return Endpoint(**{**DEFAULTS, **changes})


def made_requests(endpoint: Endpoint, count: int) -> list[ChatRequest]:
    return [build_request(endpoint, [{"role": "user", "content": f"question {k}"}], SCHEMA, k) for k in range(count)]


def echo(request: dict[str, Any]) -> tuple[int, Any]:
    return 200, completion(request["messages"][0]["content"])


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def serving() -> Iterator[Any]:
    """Yield a function that starts servers; they stop after the test."""
    running = []

    def start(answer: Answer) -> ChatServer:
        chat = ChatServer(answer)
        running.append(serve(chat))
        return chat

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def send(endpoint: Endpoint, requests: list[ChatRequest], folder: Path) -> list[Reply]:
    return complete(requests, endpoint, ReplyCache(folder), quiet=True)


def test_the_body_of_a_request_and_its_cached_reply(serving, tmp_path):
    chat = serving(echo)
    endpoint = made_endpoint(url=chat.url, input_price=2.0, output_price=10.0)
    (reply,) = send(endpoint, made_requests(endpoint, 1), tmp_path)
    assert chat.requests == [
        {
            "model": "judge",
            "messages": [{"role": "user", "content": "question 0"}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "word", "strict": True, "schema": SCHEMA},
            },
            "temperature": 0.5,
            "seed": 0,
            "max_tokens": 50,
        }
    ]
    assert chat.paths == {"/v1/chat/completions"} and chat.keys == {"Bearer none"}
    assert reply == Reply("question 0", "stop", "judge-2026-01-01", 100, 10, (100 * 2 + 10 * 10) / 1e6)


def test_cached_replies_need_no_server_or_key_and_equal_requests_are_sent_once(serving, tmp_path):
    chat = serving(echo)
    endpoint = made_endpoint(url=chat.url)
    repeated = made_requests(endpoint, 5) * 2
    first = send(endpoint, repeated, tmp_path)
    assert len(chat.requests) == 5 == len(ReplyCache(tmp_path)) and first[:5] == first[5:]
    assert [reply.content for reply in first[:5]] == [f"question {k}" for k in range(5)]
    for url in (CLOSED, None, "https://elsewhere.example/v1"):
        assert send(made_endpoint(url=url), repeated, tmp_path) == first
    assert len(chat.requests) == 5


def test_the_name_of_max_tokens_changes_the_body_and_not_the_hash(serving, tmp_path):
    chat = serving(echo)
    older, newer = (
        made_endpoint(url=chat.url, max_tokens_parameter=name) for name in ("max_tokens", "max_completion_tokens")
    )
    assert made_requests(older, 1)[0].name == made_requests(newer, 1)[0].name
    send(newer, made_requests(newer, 1), tmp_path)
    assert chat.requests[0]["max_completion_tokens"] == 50 and "max_tokens" not in chat.requests[0]


def test_the_hash_covers_everything_a_reply_depends_on():
    first = made_requests(made_endpoint(), 1)[0]
    others = [made_requests(made_endpoint(**change), 1)[0] for change in ({"model": "x"}, {"temperature": 1.0})]
    others += [made_requests(made_endpoint(max_tokens=51), 1)[0], made_requests(made_endpoint(), 2)[1]]
    others.append(
        build_request(made_endpoint(), [{"role": "user", "content": "question 0"}], {**SCHEMA, "title": "x"}, 0)
    )
    assert len({first.name, *(other.name for other in others)}) == 6
    assert first.name == made_requests(made_endpoint(url=CLOSED, retries=0, budget=0.0), 1)[0].name


def test_429_and_500_are_retried_with_exponential_backoff(serving, tmp_path):
    times = []

    def third_time(body: dict[str, Any]) -> tuple[int, Any]:
        times.append(time.monotonic())
        return {1: (429, {"error": {"message": "slow down"}}), 2: (500, b"oops")}.get(len(times), echo(body))

    chat = serving(third_time)
    endpoint = made_endpoint(url=chat.url)
    assert send(endpoint, made_requests(endpoint, 1), tmp_path)[0].content == "question 0"
    first, second = times[1] - times[0], times[2] - times[1]
    assert 0.3 < first < 1.0 < 2 * second < 3.0 and second > first


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, {"error": {"message": "bad key sk-secret"}}, "rejects the key: set OPENAI_API_KEY to one that may use"),
        (403, {"error": {"message": "no"}}, "rejects the key"),
        (404, {"error": {"message": "no such model"}}, "has no model judge or no chat API: check endpoint.model"),
        (429, {"error": {"message": "quota"}}, "still limits the rate after 0 retries .*quota.*lower max_concurrency"),
        (400, {"error": {"message": "too long"}}, "rejects a request: .*too long"),
        (500, b"oops", "rejects a request: .*500"),
        (200, b"<html>hello</html>", r"does not send OpenAI's format but '<html>hello</html>': check the url"),
        (200, {"error": {"message": "upstream"}}, "does not send OpenAI's format"),
        (200, {"choices": []}, "does not send OpenAI's format"),
    ],
)
def test_an_error_is_one_sentence_with_a_way_out(serving, tmp_path, monkeypatch, status, body, said):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    endpoint = made_endpoint(url=serving(lambda _: (status, body)).url, retries=0)
    with pytest.raises(InputError, match=said) as refused:
        send(endpoint, made_requests(endpoint, 1), tmp_path)
    assert "sk-secret" not in str(refused.value) and "\n" not in str(refused.value)
    assert endpoint.url in str(refused.value)


def test_a_missing_server_a_slow_one_and_no_url_are_explained(serving, tmp_path):
    closed = made_endpoint(url=CLOSED, retries=0)
    with pytest.raises(InputError, match=r"127.0.0.1:9/v1 cannot be reached .*: is the server running\?; all replies"):
        send(closed, made_requests(closed, 2), tmp_path)
    slow = made_endpoint(url=serving(lambda body: (time.sleep(1), echo(body))[1]).url, timeout=0.2, retries=0)
    with pytest.raises(InputError, match=r"sent no reply within 0\.2 s, 0 retries included: raise timeout"):
        send(slow, made_requests(slow, 1), tmp_path)
    offline = made_endpoint()
    with pytest.raises(InputError, match=r"2 replies of judge are not cached in .* and endpoint.url is null.*dvc pull"):
        send(offline, made_requests(offline, 2), tmp_path)


def test_a_remote_server_needs_a_key_and_prices(tmp_path):
    elsewhere = made_endpoint(url="https://api.example.org/v1")
    with pytest.raises(InputError, match=r"OPENAI_API_KEY is not set: .* or the word none if it needs none"):
        send(elsewhere, made_requests(elsewhere, 1), tmp_path)
    with pytest.raises(ValueError, match="input_price and output_price of judge must be set"):
        made_endpoint(url="https://api.example.org/v1", input_price=None)
    assert made_endpoint(url="http://[::1]:8000/v1", input_price=None).is_local
    assert made_endpoint(url=None, input_price=None, output_price=None).cost(10**6, 10**6) == 0


def test_the_key_of_the_environment_is_sent(serving, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    chat = serving(echo)
    endpoint = made_endpoint(url=chat.url)
    send(endpoint, made_requests(endpoint, 2), tmp_path)
    assert chat.keys == {"Bearer sk-mine"}
    assert not [path for path in tmp_path.iterdir() if "sk-mine" in path.read_text()]


def test_replies_before_an_error_are_cached_and_not_requested_again(serving, tmp_path):
    def refuse_one(body: dict[str, Any]) -> tuple[int, Any]:
        if body["seed"] == 7:
            time.sleep(0.3)
            return 400, {"error": {"message": "I will not"}}
        return echo(body)

    chat = serving(refuse_one)
    endpoint = made_endpoint(url=chat.url)
    with pytest.raises(InputError, match="I will not"):
        send(endpoint, made_requests(endpoint, 10), tmp_path)
    kept = len(ReplyCache(tmp_path))
    assert kept >= 7  # the six before it, and what was in flight beside it
    chat.answer = echo
    chat.requests.clear()
    assert len(send(endpoint, made_requests(endpoint, 10), tmp_path)) == 10
    assert len(chat.requests) == 10 - kept


def test_requests_in_flight_reach_max_concurrency(serving, tmp_path):
    chat = serving(lambda body: (time.sleep(0.1), echo(body))[1])
    endpoint = made_endpoint(url=chat.url, max_concurrency=3)
    send(endpoint, made_requests(endpoint, 9), tmp_path)
    assert chat.max_in_flight == 3


def test_the_budget_is_never_exceeded_and_a_raised_one_continues(serving, tmp_path):
    """A server that always charges the worst case: its own sum must stay within the budget, whatever is in flight."""
    charged = []

    def charge(body: dict[str, Any]) -> tuple[int, Any]:
        worst = made_requests(endpoint, body["seed"] + 1)[-1].max_prompt_tokens
        charged.append(endpoint.cost(worst, 50))
        time.sleep(0.02)
        assert sum(charged) <= endpoint.budget + 1e-12
        return 200, completion("x", worst, 50)

    chat = serving(charge)
    price = {"input_price": 1000.0, "output_price": 2000.0}
    endpoint = made_endpoint(**price)
    each = max_cost(made_requests(endpoint, 1)[0], endpoint)
    endpoint = made_endpoint(url=chat.url, max_concurrency=8, budget=5.5 * each, **price)
    with pytest.raises(
        InputError, match=r"endpoint.budget is .*: the 5 replies in .* raise endpoint.budget, or request"
    ):
        send(endpoint, made_requests(endpoint, 10), tmp_path)
    assert len(charged) == 5 and sum(charged) == pytest.approx(ReplyCache(tmp_path).total_cost())
    with pytest.raises(InputError, match=r"endpoint\.budget"):
        send(endpoint, made_requests(endpoint, 10), tmp_path)
    assert len(charged) == 5
    endpoint = made_endpoint(url=chat.url, budget=10 * each * 1.001, **price)
    assert len(send(endpoint, made_requests(endpoint, 10), tmp_path)) == 10
    assert len(charged) == 10


def test_calls_cheaper_than_their_maximum_leave_budget_for_more(serving, tmp_path):
    """The maximum cost of two calls is the budget; ten that cost a tenth of it fit, two at a time."""
    chat = serving(lambda _: (200, completion("x", 0, 5)))
    price = {"input_price": 0.0, "output_price": 1e6}
    endpoint = made_endpoint(url=chat.url, max_concurrency=8, budget=100.0, **price)
    assert len(send(endpoint, made_requests(endpoint, 10), tmp_path)) == 10
    assert chat.max_in_flight <= 2 and ReplyCache(tmp_path).total_cost() == pytest.approx(50.0)


def test_missing_token_counts_are_charged_at_the_maximum_and_free_calls_need_no_budget(serving, tmp_path):
    uncounted = {key: value for key, value in completion("x").items() if key != "usage"}
    chat = serving(lambda _: (200, uncounted))
    endpoint = made_endpoint(url=chat.url, input_price=1.0, output_price=1.0)
    requests = made_requests(endpoint, 1)
    (reply,) = send(endpoint, requests, tmp_path)
    assert (reply.prompt_tokens, reply.completion_tokens) == (requests[0].max_prompt_tokens, 50)
    assert reply.cost == max_cost(requests[0], endpoint) > 0
    free = made_endpoint(url=chat.url, budget=0.0)
    assert len(send(free, made_requests(free, 3), tmp_path)) == 3


def test_the_bytes_of_a_prompt_bound_its_tokens(tokenizer):
    """Also with a chat template around it, in letters of one byte and of three."""
    for text in ("a", "Reef Fjord " * 50, "日本語の本 " * 20, '"\\{[<|im_start|>' * 10):
        messages = [{"role": "system", "content": text}, {"role": "user", "content": text}]
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
        assert len(ids) <= build_request(made_endpoint(), messages, SCHEMA, 1).max_prompt_tokens


KILLED = """
import sys
from pathlib import Path
from kitrec.openai_client.client import complete
from kitrec.openai_client.replies import ReplyCache
from tests.openai_client.test_client import made_endpoint, made_requests
endpoint = made_endpoint(url=sys.argv[1], max_concurrency=2)
complete(made_requests(endpoint, 40), endpoint, ReplyCache(Path(sys.argv[2])), quiet=True)
"""


def test_a_killed_run_keeps_every_reply_it_received(serving, tmp_path):
    chat = serving(lambda body: (time.sleep(0.02), echo(body))[1])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.Popen([sys.executable, "-c", KILLED, chat.url, str(tmp_path)], cwd=ROOT, env=environment)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("*.json"))) < 6 and time.monotonic() < deadline:
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    run.wait()
    kept = len(ReplyCache(tmp_path))
    assert 6 <= kept < 40 and kept <= len(chat.requests) <= kept + 2
    chat.requests.clear()
    endpoint = made_endpoint(url=chat.url)
    assert [reply.content for reply in send(endpoint, made_requests(endpoint, 40), tmp_path)] == [
        f"question {k}" for k in range(40)
    ]
    assert len(chat.requests) == 40 - kept


def test_a_broken_or_foreign_file_is_reported_with_the_way_out(tmp_path):
    cache, request = ReplyCache(tmp_path), made_requests(made_endpoint(), 1)[0]
    cache.put(request, Reply("x", "stop", "judge", 1, 1, 0.0))
    path = tmp_path / f"{request.name}.json"
    whole = path.read_text()
    for broken, said in (
        (whole[:40], "EOF|JSON"),
        (whole.replace('"cost": 0.0', '"cost": "much"'), "reply: cost: "),
        (whole.replace('"finish_reason": "stop",', ""), "reply: finish_reason: "),
        (whole.replace("question 0", "question 9"), "its name is not the hash of its request"),
    ):
        path.write_text(broken)
        with pytest.raises(InputError, match=f"{request.name}.json is no cached reply .*({said}).*: remove it"):
            send(made_endpoint(), [request], tmp_path)
        with pytest.raises(InputError, match="is no cached reply"):
            cache.total_cost()


def test_replies_are_copied_between_folders_without_drafts_of_a_killed_run(tmp_path):
    first, second = ReplyCache(tmp_path / "one"), ReplyCache(tmp_path / "other")
    requests = made_requests(made_endpoint(), 3)
    for k, request in enumerate(requests):
        first.put(request, Reply(f"{k}", "stop", "judge", 1, 1, 0.5))
    (tmp_path / "one" / ".abc.json.draft").write_text("{")
    first.export([request.name for request in requests[:2]], tmp_path / "out")
    second.import_from(tmp_path / "out")
    second.import_from(tmp_path / "nowhere")
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {request.name for request in requests[:2]}
    assert len(first) == 3 and len(second) == 2 and requests[2] not in second and second.total_cost() == 1.0
    assert send(made_endpoint(), requests[:2], tmp_path / "other")[1].content == "1"
    first.export([requests[2].name], tmp_path / "out")
    assert [path.stem for path in (tmp_path / "out").iterdir()] == [requests[2].name]
    (tmp_path / "out" / f"{requests[2].name}.json").write_text("{")
    with pytest.raises(InputError, match=r"out/.* is no cached reply"):
        second.import_from(tmp_path / "out")


def test_a_cached_file_is_json_and_holds_its_request(serving, tmp_path):
    endpoint = made_endpoint(url=serving(echo).url)
    (request,) = made_requests(endpoint, 1)
    send(endpoint, [request], tmp_path)
    kept = json.loads((tmp_path / f"{request.name}.json").read_text())
    assert kept["request"]["messages"] == [{"role": "user", "content": "question 0"}]
    assert kept["reply"]["content"] == "question 0" and "url" not in kept["request"]
