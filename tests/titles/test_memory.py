"""The probe of memory finds what was planted: texts that a base has read again and again, and none that it has not."""

from typing import Any

import polars as pl
import pytest
import torch

from kitrec.core.domains import KITREC
from kitrec.core.errors import InputError
from kitrec.core.randomness import generator
from kitrec.llm.base.loading import load_base, load_tokenizer
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import pin
from kitrec.prompts.tokens import Encoder
from kitrec.titles.lines import Lines, build_lines
from kitrec.titles.memory import TITLE_TOKENS, Probe, continuations, measure_memory, memory, plain_words, probes

USERS, BOOKS, STEPS = 16, 24, 120
WORDS = "Copper Violet Panda River Doctor Harbour Acorn Promise Lantern Meadow Quay Orchard Summit Compass".split()


def made_title(number: int, salt: str) -> str:
    """Return a title of four words that tell nothing of each other."""
    return " ".join(generator(number, salt).choice(WORDS, 4, replace=False))


@pytest.fixture(scope="module")
def items() -> pl.DataFrame:
    books = [{"item_id": f"B{k:02}", "domain": "books", "title": made_title(k, "books")} for k in range(BOOKS)]
    films = [{"item_id": f"M{k:02}", "domain": "movies", "title": made_title(k, "films")} for k in range(USERS)]
    return pl.DataFrame([*books, *films])


@pytest.fixture(scope="module")
def records() -> pl.DataFrame:
    """Users of three books and, held out, a film of their kind."""
    chosen = [generator(user, "books of a user").choice(BOOKS, 3, replace=False) for user in range(USERS)]
    return pl.DataFrame(
        {
            "user_id": [f"u{k}" for k in range(USERS)],
            "source_items": [[f"B{k:02}" for k in books] for books in chosen],
            "target_items": pl.Series([[]] * USERS, dtype=pl.List(pl.String)),
            "gt_item_id": [f"M{k:02}" for k in range(USERS)],
        }
    )


@pytest.fixture(scope="module")
def base(tiny_base) -> tuple[Any, Encoder, Any]:
    pinned = pin(Base(path=str(tiny_base), revision=None))
    tokenizer = load_tokenizer(pinned)
    return pinned, Encoder(tokenizer), tokenizer


def crammed(base: Any, texts: list[list[int]]) -> Any:
    """Return the base after many passes over few texts, all its weights trained."""
    llm, width = load_base(base, "f32"), max(map(len, texts))
    ids = torch.tensor([[*text, *[0] * (width - len(text))] for text in texts])
    labels = torch.tensor([[*text, *[-100] * (width - len(text))] for text in texts])
    optimizer = torch.optim.AdamW(llm.parameters(), lr=2e-3, weight_decay=0.0)
    llm.train()
    for _ in range(STEPS):
        optimizer.zero_grad()
        llm(input_ids=ids, labels=labels, use_cache=False).loss.backward()
        optimizer.step()
    return llm.eval()


def test_a_base_that_read_half_of_the_users_knows_these_and_no_others(base, items, records):
    pinned, encoder, tokenizer = base
    lines: Lines = build_lines(items, tokenizer, TITLE_TOKENS, KITREC)
    numbers = {item: k for k, item in enumerate(lines.catalogue.vocabulary.item_ids, 1)}
    read, unread = records[: USERS // 2], records[USERS // 2 :]
    texts = [
        lines.learned([numbers[item] for item in books], numbers[film]).ids.tolist()
        for books, film in read.select("source_items", "gt_item_id").iter_rows()
    ]
    texts += [lines.learned([], numbers[film]).ids.tolist() for film in read["gt_item_id"]]
    llm = crammed(pinned, texts)
    known, others = (probes(part, items, lines, encoder, seed=1) for part in (read, unread))
    for name in ("title", "history", "next"):
        of_read, of_unread = memory(llm, encoder, known[name]), memory(llm, encoder, others[name])
        assert of_read["share"] >= 0.9 and of_read["low"] > of_read["shuffled"], name
        assert of_unread["share"] <= 0.25, name
    assert memory(llm, encoder, known["next"])["p"] < 0.05


def test_the_shipped_base_knows_no_titles_that_were_made_here(base, items, records):
    measured = measure_memory(base[0], records, items, KITREC, seed=1)
    assert measured.keys() == {"title", "history", "next"}
    assert all(row["n"] == USERS and row["share"] <= 0.2 and row["p"] > 0.05 for row in measured.values())


def test_texts_hold_what_comes_before_the_truth_and_not_the_truth(base, items, records):
    _, encoder, tokenizer = base
    lines = build_lines(items, tokenizer, TITLE_TOKENS, KITREC)
    made = probes(records, items, lines, encoder, seed=1)
    titles = dict(items.select("item_id", "title").iter_rows())
    books, film = records["source_items"][0].to_list(), titles["M00"]
    text = {name: encoder.text(probe.prompts[0]) for name, probe in made.items()}
    half = film.split()
    assert text["title"].endswith(f"Movies & TV: {half[0]} {half[1]}") and made["title"].truths[0] == " ".join(half[2:])
    assert text["history"] == f"Books: {titles[books[0]]}\nBooks: {titles[books[1]]}\nBooks:"
    assert made["history"].truths[0] == titles[books[2]]
    assert text["next"] == "".join(f"Books: {titles[book]}\n" for book in books) + "Movies & TV:"
    for probe in made.values():
        assert set(probe.controls) == set(probe.truths)  # the same truths, each with another text
        assert len(probe.prompts) == USERS


def test_continuations_do_not_depend_on_the_other_texts_of_a_batch(base, items, records):
    pinned, encoder, tokenizer = base
    llm = load_base(pinned, "f32").eval()
    lines = build_lines(items, tokenizer, TITLE_TOKENS, KITREC)
    made = probes(records, items, lines, encoder, seed=1)
    prompts = [made[name].prompts[k] for k in range(3) for name in made]
    assert continuations(llm, encoder, prompts) == [continuations(llm, encoder, [each])[0] for each in prompts]


def test_shares_intervals_and_the_sign_test_are_those_of_the_counts(base, monkeypatch):
    written = ["a b", "c d", "e f", "g h", "nothing", "a b", "c d", "e f"]
    monkeypatch.setattr("kitrec.titles.memory.continuations", lambda *_: written)
    truths = ["A, B!", "c d [VHS]", "E F (1999)", "g h", "x", "y", "z", "w"]
    controls = ["x", "y", "z", "w", "A", "a b", "q", "r"]
    row = memory(None, base[1], Probe([[1]] * 8, truths, controls))
    assert (row["n"], row["share"], row["shuffled"]) == (8, 0.5, 0.125)
    assert row["p"] == pytest.approx(2 * (1 + 5) / 2**5)  # four truths and one control of five
    assert (row["low"], row["high"]) == pytest.approx((0.157013, 0.842987), abs=1e-6)  # Clopper-Pearson of 4 in 8


@pytest.mark.parametrize(
    ("text", "words"), [("The Mummy's Curse [VHS]", "the mummy s curse"), ("(1999)", ""), ("É!", "é")]
)
def test_words_of_a_title_have_no_case_marks_or_brackets(text, words):
    assert plain_words(text) == words


def test_records_without_titles_are_refused(base, items, records):
    _, encoder, tokenizer = base
    nameless = items.with_columns(title=pl.lit(None, dtype=pl.String))
    lines = build_lines(items, tokenizer, TITLE_TOKENS, KITREC)
    with pytest.raises(InputError, match="needs two records whose items have titles"):
        probes(records, nameless, lines, encoder, seed=1)


@pytest.fixture(scope="module")
def repeated(records) -> pl.DataFrame:
    """Records of which every user has a second one, and whose held-out film is one of two, four of five times the
    first: as many truths as a popular film has."""
    films = ["M01" if k % 5 == 0 else "M00" for k in range(2 * USERS)]
    return pl.concat([records, records]).with_columns(gt_item_id=pl.Series(films))


@pytest.mark.parametrize("seed", range(5))
def test_a_control_is_never_the_truth_of_its_text_though_truths_repeat(base, items, repeated, seed):
    _, encoder, tokenizer = base
    made = probes(repeated, items, build_lines(items, tokenizer, TITLE_TOKENS, KITREC), encoder, seed)
    assert made.keys() == {"title", "history", "next"}
    for probe in made.values():
        pairs = zip(probe.truths, probe.controls, strict=True)
        assert all(plain_words(truth) != plain_words(control) for truth, control in pairs)


def test_a_text_counts_once_with_a_truth_however_many_records_have_it(base, items, repeated):
    _, encoder, tokenizer = base
    made = probes(repeated, items, build_lines(items, tokenizer, TITLE_TOKENS, KITREC), encoder, seed=1)
    assert len(made["title"].prompts) == 2 and len(made["history"].prompts) == USERS
    users_and_films = repeated.select(pl.col("source_items").list.join(" "), "gt_item_id").n_unique()
    assert USERS < len(made["next"].prompts) == users_and_films < repeated.height


def test_one_truth_alone_has_no_control(base, items, records):
    _, encoder, tokenizer = base
    lines = build_lines(items, tokenizer, TITLE_TOKENS, KITREC)
    with pytest.raises(InputError, match="and not the same one"):
        probes(records.with_columns(gt_item_id=pl.lit("M00")), items, lines, encoder, seed=1)
