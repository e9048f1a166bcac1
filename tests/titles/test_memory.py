"""The probe of memory finds what was planted: texts that a base has read again and again, and none that it has not."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from kitrec.core import tables
from kitrec.core.domains import KITREC
from kitrec.core.randomness import generator
from kitrec.evaluation.memory import known_items, memory_figures
from kitrec.llm.base.loading import load_base, load_tokenizer
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import pin
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.memory import MEMORY, PROBES
from kitrec.titles.lines import Lines, build_lines
from kitrec.titles.memory import TITLE_TOKENS, Text, TextBuilder, continuations, continued_lines

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


def built(base: tuple[Any, Encoder, Any], items: pl.DataFrame, records: pl.DataFrame) -> dict[str, list[Text]]:
    """Return the texts of each probe."""
    _, encoder, tokenizer = base
    builder = TextBuilder(items, build_lines(items, tokenizer, TITLE_TOKENS, KITREC), encoder)
    return {probe: builder.build(probe, records) for probe in PROBES}


def read_aloud(llm: Any, encoder: Encoder, texts: dict[str, list[Text]]) -> pl.DataFrame:
    """Return the memory table of a loaded base."""
    rows = [
        {"probe": probe, "text": str(text.prompt), "item_id": text.item_id, "truth": text.truth, "written": line}
        for probe, each in texts.items()
        for text, line in zip(each, continuations(llm, encoder, [text.prompt for text in each]), strict=True)
    ]
    return tables.from_rows(rows, MEMORY)


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
    written = [read_aloud(llm, encoder, built(base, items, part)) for part in (read, unread)]
    of_read, of_unread = (memory_figures(table, seed=1) for table in written)
    for name in PROBES:
        assert of_read[name]["share"] >= 0.9 and of_read[name]["low"] > of_read[name]["shuffled"], name
        assert of_unread[name]["share"] <= 0.25, name
    assert of_read["next"]["p"] < 0.05
    known = [known_items(table)["known"].mean() for table in written]
    assert known[0] >= 0.9 and known[1] <= 0.25


def test_the_shipped_base_knows_no_titles_that_were_made_here(base, items, records, tmp_path):
    steps = []
    probed = dict.fromkeys(PROBES, records) | {"history": records[:5]}
    lines = continued_lines(
        base[0], probed, items, KITREC, work=tmp_path, on_progress=lambda *progress: steps.append(progress)
    )
    assert steps == [(2 * USERS + 5, 2 * USERS + 5)] and list(tmp_path.glob("shard-*.parquet"))
    tables.write(lines, tmp_path / "memory.parquet", MEMORY)
    measured = memory_figures(lines, seed=1)
    assert {name: row["n"] for name, row in measured.items()} == {"title": USERS, "history": 5, "next": USERS}
    assert all(row["share"] <= 0.2 and row["p"] > 0.05 for row in measured.values())
    assert set(known_items(lines)["item_id"]) == set(records["gt_item_id"])


def test_texts_hold_what_comes_before_the_truth_and_not_the_truth(base, items, records):
    made, encoder = built(base, items, records), base[1]
    titles = dict(items.select("item_id", "title").iter_rows())
    books, film = records["source_items"][0].to_list(), titles["M00"]
    text, truth = ({name: part(texts[0]) for name, texts in made.items()} for part in (_shown(encoder), _truth))
    half = film.split()
    assert text["title"].endswith(f"Movies & TV: {half[0]} {half[1]}") and truth["title"] == " ".join(half[2:])
    assert text["history"] == f"Books: {titles[books[0]]}\nBooks: {titles[books[1]]}\nBooks:"
    assert truth["history"] == titles[books[2]] and made["history"][0].item_id == books[2]
    assert text["next"] == "".join(f"Books: {titles[book]}\n" for book in books) + "Movies & TV:"
    assert truth["next"] == film and made["next"][0].item_id == "M00"
    assert all(len(texts) == USERS for texts in made.values())


def _shown(encoder: Encoder) -> Any:
    return lambda text: encoder.text(text.prompt)


def _truth(text: Text) -> str:
    return text.truth


def test_continuations_do_not_depend_on_the_other_texts_of_a_batch(base, items, records):
    pinned, encoder, _ = base
    llm = load_base(pinned, "f32").eval()
    made = built(base, items, records)
    prompts = [made[name][k].prompt for k in range(3) for name in made]
    assert continuations(llm, encoder, prompts) == [continuations(llm, encoder, [each])[0] for each in prompts]


def test_items_without_a_title_or_of_one_word_are_not_asked_for(base, items, records):
    nameless = items.with_columns(title=pl.lit(None, dtype=pl.String))
    assert all(texts == [] for texts in built(base, nameless, records).values())
    short = items.with_columns(
        title=pl.when(pl.col("item_id") == "M03").then(pl.lit("It [DVD] (2017)")).otherwise("title")
    )
    made = built(base, short, records)
    assert "M03" not in {text.item_id for text in made["title"]} and len(made["title"]) == USERS - 1
    assert "M03" in {text.item_id for text in made["next"]}


@pytest.fixture(scope="module")
def repeated(records) -> pl.DataFrame:
    """Records of which every user has a second one, and whose held-out film is one of two, four of five times the
    first: as many truths as a popular film has."""
    films = ["M01" if k % 5 == 0 else "M00" for k in range(2 * USERS)]
    return pl.concat([records, records]).with_columns(gt_item_id=pl.Series(films))


def test_a_text_is_read_once_with_a_truth_however_many_records_have_it(base, items, repeated):
    made = built(base, items, repeated)
    assert len(made["title"]) == 2 and len(made["history"]) == USERS
    users_and_films = repeated.select(pl.col("source_items").list.join(" "), "gt_item_id").n_unique()
    assert USERS < len(made["next"]) == users_and_films < repeated.height


def test_a_killed_probe_reads_the_shards_that_it_finished(base, items, records, tmp_path, monkeypatch):
    probed = dict.fromkeys(PROBES, records)
    whole = continued_lines(base[0], probed, items, KITREC, work=tmp_path)
    monkeypatch.setattr("kitrec.titles.memory.continuations", None)  # whatever is asked again would fail
    assert continued_lines(base[0], probed, items, KITREC, work=Path(tmp_path)).equals(whole)
