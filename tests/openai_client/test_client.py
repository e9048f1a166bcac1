"""The real client against a real server: retries, keys, errors, money, and replies that are never asked for twice."""

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
from kitrec.openai_client.client import answered
from kitrec.openai_client.params import Endpoint
from kitrec.openai_client.replies import Replies, Reply
from kitrec.openai_client.request import ChatRequest, most_money, request
from tests.chat_server import Answer, Served, completion, serve
from tests.conftest import ROOT

CLOSED = "http://127.0.0.1:9/v1"  # the port of `discard`: nobody listens
SCHEMA = {"title": "word", "type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}
PLAIN: dict[str, Any] = {
    "url": None,
    "model": "judge",
    "temperature": 0.5,
    "max_tokens": 50,
    "token_limit": "max_tokens",
    "timeout": 5.0,
    "retries": 3,
    "at_once": 4,
    "input_price": 0.0,
    "output_price": 0.0,
    "limit": 1.0,
}


def an_endpoint(**changes: Any) -> Endpoint:
    return Endpoint(**{**PLAIN, **changes})


def questions(endpoint: Endpoint, count: int) -> list[ChatRequest]:
    return [request(endpoint, [{"role": "user", "content": f"question {k}"}], SCHEMA, k) for k in range(count)]


def echo(asked: dict[str, Any]) -> tuple[int, Any]:
    return 200, completion(asked["messages"][0]["content"])


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def serving() -> Iterator[Any]:
    """A function that starts servers, which end with the test."""
    running = []

    def start(answer: Answer) -> Served:
        served = Served(answer)
        running.append(serve(served))
        return served

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def ask(endpoint: Endpoint, requests: list[ChatRequest], folder: Path) -> list[Reply]:
    return answered(requests, endpoint, Replies(folder), quiet=True)


def test_a_request_says_what_it_must_and_its_reply_is_kept(serving, tmp_path):
    served = serving(echo)
    endpoint = an_endpoint(url=served.url, input_price=2.0, output_price=10.0)
    (reply,) = ask(endpoint, questions(endpoint, 1), tmp_path)
    assert served.asked == [
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
    assert served.paths == {"/v1/chat/completions"} and served.keys == {"Bearer none"}
    assert reply == Reply("question 0", "stop", "judge-2026-01-01", 100, 10, (100 * 2 + 10 * 10) / 1e6)


def test_kept_replies_need_no_server_and_no_key_and_equal_requests_are_asked_once(serving, tmp_path):
    served = serving(echo)
    endpoint = an_endpoint(url=served.url)
    twice = questions(endpoint, 5) * 2
    first = ask(endpoint, twice, tmp_path)
    assert len(served.asked) == 5 == len(Replies(tmp_path)) and first[:5] == first[5:]
    assert [reply.content for reply in first[:5]] == [f"question {k}" for k in range(5)]
    for url in (CLOSED, None, "https://elsewhere.example/v1"):
        assert ask(an_endpoint(url=url), twice, tmp_path) == first
    assert len(served.asked) == 5


def test_the_servers_name_for_the_limit_changes_the_body_and_no_hash(serving, tmp_path):
    served = serving(echo)
    older, newer = (an_endpoint(url=served.url, token_limit=name) for name in ("max_tokens", "max_completion_tokens"))
    assert questions(older, 1)[0].name == questions(newer, 1)[0].name
    ask(newer, questions(newer, 1), tmp_path)
    assert served.asked[0]["max_completion_tokens"] == 50 and "max_tokens" not in served.asked[0]


def test_what_a_reply_depends_on_is_in_the_hash():
    first = questions(an_endpoint(), 1)[0]
    others = [questions(an_endpoint(**change), 1)[0] for change in ({"model": "x"}, {"temperature": 1.0})]
    others += [questions(an_endpoint(max_tokens=51), 1)[0], questions(an_endpoint(), 2)[1]]
    others.append(request(an_endpoint(), [{"role": "user", "content": "question 0"}], {**SCHEMA, "title": "x"}, 0))
    assert len({first.name, *(other.name for other in others)}) == 6
    assert first.name == questions(an_endpoint(url=CLOSED, retries=0, limit=0.0), 1)[0].name


def test_429_and_500_are_tried_again_with_growing_pauses(serving, tmp_path):
    times = []

    def third_time(asked: dict[str, Any]) -> tuple[int, Any]:
        times.append(time.monotonic())
        return {1: (429, {"error": {"message": "slow down"}}), 2: (500, b"oops")}.get(len(times), echo(asked))

    served = serving(third_time)
    endpoint = an_endpoint(url=served.url)
    assert ask(endpoint, questions(endpoint, 1), tmp_path)[0].content == "question 0"
    first, second = times[1] - times[0], times[2] - times[1]
    assert 0.3 < first < 1.0 < 2 * second < 3.0 and second > first


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, {"error": {"message": "bad key sk-secret"}}, "refuses the key: set OPENAI_API_KEY to one that may use"),
        (403, {"error": {"message": "no"}}, "refuses the key"),
        (404, {"error": {"message": "no such model"}}, "has no model judge, or no chat there: check endpoint.model"),
        (429, {"error": {"message": "quota"}}, "still says that it is too much after 0 retries .*quota.*lower at_once"),
        (400, {"error": {"message": "too long"}}, "refuses a request: .*too long"),
        (500, b"oops", "refuses a request: .*500"),
        (200, b"<html>hello</html>", r"does not speak OpenAI's format, it answers '<html>hello</html>': check the url"),
        (200, {"error": {"message": "upstream"}}, "does not speak OpenAI's format"),
        (200, {"choices": []}, "does not speak OpenAI's format"),
    ],
)
def test_what_goes_wrong_is_one_sentence_with_a_way_out(serving, tmp_path, monkeypatch, status, body, said):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    endpoint = an_endpoint(url=serving(lambda _: (status, body)).url, retries=0)
    with pytest.raises(InputError, match=said) as refused:
        ask(endpoint, questions(endpoint, 1), tmp_path)
    assert "sk-secret" not in str(refused.value) and "\n" not in str(refused.value)
    assert endpoint.url in str(refused.value)


def test_nobody_listens_a_slow_server_and_no_url(serving, tmp_path):
    closed = an_endpoint(url=CLOSED, retries=0)
    with pytest.raises(InputError, match=r"127.0.0.1:9/v1 cannot be reached .*: is the server running\?; all replies"):
        ask(closed, questions(closed, 2), tmp_path)
    slow = an_endpoint(url=serving(lambda asked: (time.sleep(1), echo(asked))[1]).url, timeout=0.2, retries=0)
    with pytest.raises(InputError, match=r"gave no reply within 0\.2 s, 0 retries included: raise timeout"):
        ask(slow, questions(slow, 1), tmp_path)
    offline = an_endpoint()
    with pytest.raises(InputError, match=r"2 replies of judge are not kept in .* and endpoint.url is null.*dvc pull"):
        ask(offline, questions(offline, 2), tmp_path)


def test_a_server_elsewhere_wants_a_key_and_prices(tmp_path):
    elsewhere = an_endpoint(url="https://api.example.org/v1")
    with pytest.raises(InputError, match=r"OPENAI_API_KEY is not set: .* or the word none if it wants none"):
        ask(elsewhere, questions(elsewhere, 1), tmp_path)
    with pytest.raises(ValueError, match="input_price and output_price of judge must be set"):
        an_endpoint(url="https://api.example.org/v1", input_price=None)
    assert an_endpoint(url="http://[::1]:8000/v1", input_price=None).is_here
    assert an_endpoint(url=None, input_price=None, output_price=None).cost(10**6, 10**6) == 0


def test_the_key_of_the_environment_is_sent(serving, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    served = serving(echo)
    endpoint = an_endpoint(url=served.url)
    ask(endpoint, questions(endpoint, 2), tmp_path)
    assert served.keys == {"Bearer sk-mine"}
    assert not [path for path in tmp_path.iterdir() if "sk-mine" in path.read_text()]


def test_what_came_before_an_error_is_kept_and_not_asked_again(serving, tmp_path):
    def refuse_one(asked: dict[str, Any]) -> tuple[int, Any]:
        if asked["seed"] == 7:
            time.sleep(0.3)
            return 400, {"error": {"message": "I will not"}}
        return echo(asked)

    served = serving(refuse_one)
    endpoint = an_endpoint(url=served.url)
    with pytest.raises(InputError, match="I will not"):
        ask(endpoint, questions(endpoint, 10), tmp_path)
    kept = len(Replies(tmp_path))
    assert kept >= 7  # the six before it, and what was in flight beside it
    served.answer = echo
    served.asked.clear()
    assert len(ask(endpoint, questions(endpoint, 10), tmp_path)) == 10
    assert len(served.asked) == 10 - kept


def test_as_many_at_once_as_may_be(serving, tmp_path):
    served = serving(lambda asked: (time.sleep(0.1), echo(asked))[1])
    endpoint = an_endpoint(url=served.url, at_once=3)
    ask(endpoint, questions(endpoint, 9), tmp_path)
    assert served.most_at_once == 3


def test_the_limit_is_never_exceeded_and_it_goes_on_after_a_raise(serving, tmp_path):
    """A server that always charges the worst case: its own sum must stay within the limit, whatever is in flight."""
    charged = []

    def charge(asked: dict[str, Any]) -> tuple[int, Any]:
        worst = questions(endpoint, asked["seed"] + 1)[-1].most_prompt_tokens
        charged.append(endpoint.cost(worst, 50))
        time.sleep(0.02)
        assert sum(charged) <= endpoint.limit + 1e-12
        return 200, completion("x", worst, 50)

    served = serving(charge)
    price = {"input_price": 1000.0, "output_price": 2000.0}
    endpoint = an_endpoint(**price)
    each = most_money(questions(endpoint, 1)[0], endpoint)
    endpoint = an_endpoint(url=served.url, at_once=8, limit=5.5 * each, **price)
    with pytest.raises(InputError, match=r"endpoint.limit is .*: the 5 replies in .* raise endpoint.limit, or ask for"):
        ask(endpoint, questions(endpoint, 10), tmp_path)
    assert len(charged) == 5 and sum(charged) == pytest.approx(Replies(tmp_path).spent())
    with pytest.raises(InputError, match=r"endpoint\.limit"):
        ask(endpoint, questions(endpoint, 10), tmp_path)
    assert len(charged) == 5
    endpoint = an_endpoint(url=served.url, limit=10 * each * 1.001, **price)
    assert len(ask(endpoint, questions(endpoint, 10), tmp_path)) == 10
    assert len(charged) == 10


def test_calls_that_turn_out_cheap_leave_room_for_more(serving, tmp_path):
    """The worst case of two calls is the limit; ten that cost a tenth of it fit, two at a time."""
    served = serving(lambda _: (200, completion("x", 0, 5)))
    price = {"input_price": 0.0, "output_price": 1e6}
    endpoint = an_endpoint(url=served.url, at_once=8, limit=100.0, **price)
    assert len(ask(endpoint, questions(endpoint, 10), tmp_path)) == 10
    assert served.most_at_once <= 2 and Replies(tmp_path).spent() == pytest.approx(50.0)


def test_without_a_count_of_tokens_the_worst_is_taken_and_free_calls_need_no_money_left(serving, tmp_path):
    uncounted = {key: value for key, value in completion("x").items() if key != "usage"}
    served = serving(lambda _: (200, uncounted))
    endpoint = an_endpoint(url=served.url, input_price=1.0, output_price=1.0)
    asked = questions(endpoint, 1)
    (reply,) = ask(endpoint, asked, tmp_path)
    assert (reply.prompt_tokens, reply.completion_tokens) == (asked[0].most_prompt_tokens, 50)
    assert reply.cost == most_money(asked[0], endpoint) > 0
    free = an_endpoint(url=served.url, limit=0.0)
    assert len(ask(free, questions(free, 3), tmp_path)) == 3


def test_a_prompts_bytes_bound_its_tokens(tokenizer):
    """Also with a chat template around it, in letters of one byte and of three."""
    for text in ("a", "Reef Fjord " * 50, "日本語の本 " * 20, '"\\{[<|im_start|>' * 10):
        messages = [{"role": "system", "content": text}, {"role": "user", "content": text}]
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
        assert len(ids) <= request(an_endpoint(), messages, SCHEMA, 1).most_prompt_tokens


KILLED = """
import sys
from pathlib import Path
from kitrec.openai_client.client import answered
from kitrec.openai_client.replies import Replies
from tests.openai_client.test_client import an_endpoint, questions
endpoint = an_endpoint(url=sys.argv[1], at_once=2)
answered(questions(endpoint, 40), endpoint, Replies(Path(sys.argv[2])), quiet=True)
"""


def test_a_killed_run_keeps_every_reply_it_had(serving, tmp_path):
    served = serving(lambda asked: (time.sleep(0.02), echo(asked))[1])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.Popen([sys.executable, "-c", KILLED, served.url, str(tmp_path)], cwd=ROOT, env=environment)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("*.json"))) < 6 and time.monotonic() < deadline:
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    run.wait()
    kept = len(Replies(tmp_path))
    assert 6 <= kept < 40 and kept <= len(served.asked) <= kept + 2
    served.asked.clear()
    endpoint = an_endpoint(url=served.url)
    assert [reply.content for reply in ask(endpoint, questions(endpoint, 40), tmp_path)] == [
        f"question {k}" for k in range(40)
    ]
    assert len(served.asked) == 40 - kept


def test_a_broken_or_foreign_file_is_named_with_the_way_out(tmp_path):
    replies, asked = Replies(tmp_path), questions(an_endpoint(), 1)[0]
    replies.keep(asked, Reply("x", "stop", "judge", 1, 1, 0.0))
    path = tmp_path / f"{asked.name}.json"
    whole = path.read_text()
    for broken, said in (
        (whole[:40], "EOF|JSON"),
        (whole.replace('"cost": 0.0', '"cost": "much"'), "reply: cost: "),
        (whole.replace('"finish_reason": "stop",', ""), "reply: finish_reason: "),
        (whole.replace("question 0", "question 9"), "its request is not the one that its name hashes"),
    ):
        path.write_text(broken)
        with pytest.raises(InputError, match=f"{asked.name}.json is no kept reply .*({said}).*: remove it"):
            ask(an_endpoint(), [asked], tmp_path)
        with pytest.raises(InputError, match="is no kept reply"):
            replies.spent()


def test_replies_go_from_folder_to_folder_and_drafts_of_a_killed_run_do_not(tmp_path):
    one, other = Replies(tmp_path / "one"), Replies(tmp_path / "other")
    asked = questions(an_endpoint(), 3)
    for k, own in enumerate(asked):
        one.keep(own, Reply(f"{k}", "stop", "judge", 1, 1, 0.5))
    (tmp_path / "one" / ".abc.json.draft").write_text("{")
    one.hand_out([own.name for own in asked[:2]], tmp_path / "out")
    other.take_in(tmp_path / "out")
    other.take_in(tmp_path / "nowhere")
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {own.name for own in asked[:2]}
    assert len(one) == 3 and len(other) == 2 and asked[2] not in other and other.spent() == 1.0
    assert ask(an_endpoint(), asked[:2], tmp_path / "other")[1].content == "1"
    one.hand_out([asked[2].name], tmp_path / "out")
    assert [path.stem for path in (tmp_path / "out").iterdir()] == [asked[2].name]
    (tmp_path / "out" / f"{asked[2].name}.json").write_text("{")
    with pytest.raises(InputError, match=r"out/.* is no kept reply"):
        other.take_in(tmp_path / "out")


def test_a_kept_file_reads_as_json_and_holds_what_was_asked(serving, tmp_path):
    endpoint = an_endpoint(url=serving(echo).url)
    (asked,) = questions(endpoint, 1)
    ask(endpoint, [asked], tmp_path)
    kept = json.loads((tmp_path / f"{asked.name}.json").read_text())
    assert kept["request"]["messages"] == [{"role": "user", "content": "question 0"}]
    assert kept["reply"]["content"] == "question 0" and "url" not in kept["request"]
