import time

import polars as pl
import pytest

from kitrec.parsing.history_mentions import history_mentions, mentioned_items, reasoning_text

TITLES = {"B1": "Dune", "B2": "Dune Messiah", "B3": "1984", "B4": None, "B5": "It", "B6": "C++ (2nd ed.) [a.*b]"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", set()),
        ("You read Dune and 1984.", {"B1", "B3"}),
        ("You read Dune, dune and DUNE.", {"B1"}),
        ("You read Dune Messiah.", {"B2"}),
        ("You read Dune Messiah after Dune.", {"B1", "B2"}),
        ("Dune\n  Messiah, over two lines", {"B2"}),
        ("Sand dunes, an indune, Dune_2, 19845", set()),
        ("'Dune', (1984); Dune's", {"B1", "B3"}),
        ("as (ID: b4) and B2 show", {"B2", "B4"}),
        ("B22, AB2, B2x", set()),
        ("C++ (2nd ed.) [a.*b] is a book", {"B6"}),
        ("C++ (2nd ed.) [axxb] is another", set()),
        ("it, as a word, is a title too", {"B5"}),
    ],
)
def test_names_match_as_whole_words_in_any_case_and_the_longest_counts(text, expected):
    assert mentioned_items(text, TITLES) == expected


@pytest.mark.parametrize("title", ["", " ", "A", "a!", "?!", "---", None])
def test_a_title_of_fewer_than_two_letters_is_never_matched(title):
    assert mentioned_items("A a! ?! --- b, and so on", {"B1": title}) == set()


def test_two_books_of_one_title_are_one_name_but_two_ids():
    twins = {"B1": "Emma", "B2": "Emma"}
    assert len(mentioned_items("Emma, Emma", twins)) == 1 and mentioned_items("B1 and B2, both Emma", twins) == {
        "B1",
        "B2",
    }


def test_overlapping_titles_match_their_words_once():
    assert mentioned_items("The Lord of the Rings", {"B1": "The Lord", "B2": "Lord of the Rings", "B3": "Rings"}) == {
        "B2"
    }


@pytest.mark.parametrize("title", ["[xy", "a|b", "^ab$", "x{2}y", r"\d{2}", "(?P<n>ab)", "ab\\", "Straße", "ＡＢ"])
def test_titles_that_look_like_patterns_match_literally(title):
    assert mentioned_items(f"they read “{title}” twice", {"B1": title}) == {"B1"}
    assert mentioned_items("ab xyy 12 aab", {"B1": title}) == set()


def test_the_reasoning_is_thought_and_rationale_without_the_answer_itself():
    text = '<think>Dune</think>{"item_id": "M1", "title": "Emma", "rationale": "like 1984"}'
    assert reasoning_text(text, "like 1984").split() == ["<think>Dune", "like", "1984"]
    assert mentioned_items(reasoning_text("<think>Dune, and so on without an end", None), TITLES) == {"B1"}
    assert reasoning_text(None, None).strip() == "" and reasoning_text('{"item_id": "Dune"}', None).strip() == ""


def test_mentions_are_counted_for_every_answer():
    texts = ["<think>Dune, 1984</think>{}", "<think>Emma</think>{}", None, "{}"]
    names = ["R0", "R1", "R2", "R3"]
    answers = pl.DataFrame({"record_id": names, "text": texts}, schema_overrides={"text": pl.String})
    rankings = pl.DataFrame({"record_id": names, "rationale": [None, None, None, "Dune Messiah was liked"]})
    histories = [["B2"], ["B1"], ["B1"], ["B1", "B3"]]
    records = pl.DataFrame({"record_id": names[::-1], "source_items": histories, "source_texts": [None] * 4})
    items = pl.DataFrame({"item_id": list(TITLES), "title": list(TITLES.values())})
    counted = history_mentions(answers, rankings, records, items)
    assert counted.rows() == [("R0", 2), ("R1", 0), ("R2", 0), ("R3", 1)]
    own_titles = [[{"item_id": item, "title": "Emma"} for item in history] for history in histories]
    renamed = records.with_columns(source_texts=pl.Series(own_titles))
    assert history_mentions(answers, rankings, renamed, items)["history_mentions"].to_list() == [0, 1, 0, 0]


def test_long_histories_and_thoughts_are_matched_quickly():
    titles = {f"B{k:05d}": f"The long title of volume {k}" for k in range(300)}
    text = "so " * 2000 + "The long title of volume 7 " * 50
    start = time.process_time()
    for _ in range(100):
        assert mentioned_items(text, titles) == {"B00007"}
    assert time.process_time() - start < 5
