"""The explorer's data: every user, every text as it is, small enough for one page."""

import base64
import json
import random
import zlib

import pytest

from kitrec.report import users
from kitrec.report.users import Answer, UserRecord, people, supported_spans

HOSTILE = "</script><img src=x onerror=alert(1)>"
ITEMS = {f"I{k}": {"item_id": f"I{k}", "title": f"Title {k}", "categories": ["Sea"]} for k in range(9)}
ITEMS["I0"] = {"item_id": "I0", "title": HOSTILE, "categories": ["<b>"]}
METHODS = {"learned": {"llm": "#0078c8"}, "baseline": {"pop": "#7d7d7d"}, "bound": {}}


def made_user(name: str, text: str = "I like the Sea") -> UserRecord:
    record = {
        "record_id": f"{name}:movies:A",
        "user_id": name,
        "target": "movies",
        "user_type": "source_only_movies",
        "core": 1,
        "source_items": ["I1", "I0"],
        "source_ratings": [5.0, 2.0],
        "target_items": [],
        "target_ratings": [],
        "candidate_ids": ["I2", "I3", "I4"],
        "candidate_origins": ["truth", "random", "random"],
        "gt_item_id": "I2",
        "gt_rating": 4.0,
    }
    answer = Answer(f"<think>{text}</think>", "ok", 9.0, text, "", [], 10, 5)
    return UserRecord(record, {"llm": ["I3", "I2", "I4"], "llm (written)": ["invented", "I2"]}, {"llm": answer})


def unpacked(packed: str) -> dict:
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def explorer(records: list[UserRecord]) -> users.People:
    return people({"A": records}, ITEMS, {"movies": "Movies & TV", "source": "Books"}, METHODS)


def test_every_user_comes_back_with_histories_ranks_and_answers():
    built = explorer([made_user("U2"), made_user("U1")])
    data = unpacked(built.packed)
    first, second = data["sets"]["A"]
    assert [first["user"], second["user"]] == ["U1", "U2"] and "All 2 test records" in built.note
    title = [entry[1] for entry in data["items"]]
    assert [(title[item], rating) for item, rating in first["source"]] == [("Title 1", 5.0), (HOSTILE, 2.0)]
    assert [title[item] for item in first["ranked"]["llm"]] == ["Title 3", "Title 2", "Title 4"]
    assert first["ranked"]["llm (written)"][0] == "invented" and title[first["truth"]] == "Title 2"
    assert first["places"] == {"llm": 2, "llm (written)": 2}
    assert first["answers"]["llm"]["reasoning"] == [["Thought", "I like the Sea", [[11, 14]]]]
    assert data["learned"] == data["methods"] == ["llm", "llm (written)"]
    assert built.domain_options == [("movies", "Movies & TV")]


def test_the_packed_data_cannot_leave_its_element():
    packed = explorer([made_user("U1", HOSTILE)]).packed
    assert set(packed) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
    assert unpacked(packed)["sets"]["A"][0]["answers"]["llm"]["text"] == f"<think>{HOSTILE}</think>"


@pytest.mark.parametrize(
    ("text", "names", "marked"),
    [
        ("Dune Messiah, dune and dunes", ["Dune", "Dune Messiah"], ["Dune Messiah", "dune"]),
        ("odd\n hour here", ["Odd Hour"], ["odd\n hour"]),
        ("C++ (a+b)", ["(a+b)", "++", "x"], ["(a+b)"]),
        ("nothing", [None, "", " "], []),
        ("X is short", ["X"], []),
    ],
)
def test_names_are_marked_as_whole_words_the_longest_first(text, names, marked):
    assert [text[start:end] for start, end in supported_spans(text, names)] == marked


def test_a_large_test_set_is_thinned_evenly_and_says_so(monkeypatch):
    monkeypatch.setattr(users, "LIMIT", 10)
    built = explorer([made_user(f"U{k:03}") for k in random.Random(1).sample(range(100), 100)])
    shown = [record["user"] for record in unpacked(built.packed)["sets"]["A"]]
    assert shown == [f"U{k:03}" for k in range(0, 100, 10)] and built.note.startswith("10 of 100 test records")
