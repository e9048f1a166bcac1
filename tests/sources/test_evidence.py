"""The teacher of true statements: what it says of small records worked out by hand, and that its check finds lies."""

import json
import random

import polars as pl
import pytest

from kitrec.parsing.parser import parse
from kitrec.sources.evidence import Evidence, Statement, parse_statement, sentences
from kitrec.sources.evidence_teacher import EvidenceTeacher, check_outputs, outputs, written_output
from kitrec.sources.title_links import NameFinder, as_written, main_words, series_names, title_words
from tests.conftest import ROOT

SHARED = ROOT.parent / "shared/data/amazon_books_movies"
FILLER = [(f"F{k}", f"Filler {chr(97 + k)}lpha{k}", []) for k in range(20)]
TITLES = [
    ("B1", "Harry Potter and the Goblet of Fire (Harry Potter, Book 4)", ["Books", "Magic"]),
    ("B2", "Emma (Dover Thrift Editions)", ["Books", "Classics"]),
    ("B3", None, ["Books"]),
    ("B4", "Mary Shelley’s Frankenstein, the “True” Story", ["Books", "Horror"]),
    ("M1", "Harry Potter and the Chamber of Secrets [VHS]", ["Movies", "Magic"]),
    ("M2", "Emma [VHS]", ["Movies", "Romance"]),
    ("M3", "Zulu", ["Movies"]),
    ("M4", "The Mary Shelley Collection", ["Movies", "Horror"]),
    ("M5", "The Complete Second Season", ["Movies"]),
]
ITEMS = pl.DataFrame(
    [*TITLES, *FILLER],
    schema={"item_id": pl.String, "title": pl.String, "categories": pl.List(pl.String)},
    orient="row",
)
# 10 training users; B3 was had by u0 to u3, of whom u0 to u2 also had M3; one more had M3.
PAIRS = [(f"u{k}", "B3") for k in range(4)] + [(f"u{k}", "M3") for k in (0, 1, 2, 7)]
PAIRS += [(f"u{k}", "B2") for k in range(10)]
HISTORY = pl.DataFrame(PAIRS, schema=["user_id", "item_id"], orient="row")


def made_record(source, target, item):
    return {"target": "movies", "source_items": source, "target_items": target, "gt_item_id": item}


def made_records(*rows):
    return pl.DataFrame([made_record(*row) for row in rows])


def texts(source, target, item):
    return [statement.text for statement in Evidence(ITEMS, HISTORY).statements(made_record(source, target, item))]


def test_a_series_a_category_and_a_name_are_found_in_titles():
    assert texts(["B1", "B2"], [], "M1") == [
        "It and “Harry Potter and the Goblet of Fire (Harry Potter, Book 4)” name the series “Harry Potter”.",
        "Its category “Magic” occurs in 1 of 2 history items.",
    ]
    assert texts(["B4"], ["M5"], "M4") == [
        'It and “Mary Shelley’s Frankenstein, the "True" Story” share “Mary Shelley” in their titles.',
        "Its category “Horror” occurs in 1 of 2 history items.",
    ]


def test_an_edition_has_the_same_main_title():
    assert texts(["B1", "B2"], [], "M2") == ["It has the same main title as “Emma (Dover Thrift Editions)”."]


def test_training_users_who_had_an_item_of_the_history_are_counted():
    """Of 10 users 4 had B3 and 4 had M3; by chance 1.6 had both, and 3 did. All had B2: 4 against 4 says nothing."""
    assert texts(["B2", "B3"], [], "M3") == ["Nothing known links it to the history."]
    more = pl.concat([HISTORY, pl.DataFrame({"user_id": [f"v{k}" for k in range(5)], "item_id": ["B1"] * 5})])
    statements = Evidence(ITEMS, more).statements(made_record(["B2", "B3"], [], "M3"))
    assert [statement.text for statement in statements] == ["3 of 4 training users with (ID: B3) also had it."]


def test_where_nothing_is_known_that_is_said():
    output = EvidenceTeacher(Evidence(ITEMS, HISTORY)).explain(made_record(["B1"], [], "M5"))
    assert output == (
        "<think>\nNothing known links it to the history. -> (ID: M5) The Complete Second Season | Movies\n</think>\n\n"
        '```json\n{"rank": 1, "item_id": "M5", "title": "The Complete Second Season", "confidence_score": 5, '
        '"rationale": "Nothing known links it to the history."}\n```'
    )


def test_outputs_have_kitrecs_form():
    written = parse(outputs(made_records((["B1"], [], "M1")), ITEMS, HISTORY)[0], ["M1", "M2"])
    assert (written.item_ids, written.status, written.confidence) == (["M1"], "ok", 9)
    assert written.rationale == texts(["B1"], [], "M1")[0]


@pytest.mark.parametrize(
    "statement",
    [
        Statement("title", "Emma"),
        Statement("title", "(ID: B3)"),
        Statement("series", 'The "Best" of (all) [VHS].', "Best \\ worst"),
        Statement("name", "A.", "B"),
        Statement("users", "(ID: B00-x_1)", "", 3, 14),
        Statement("users", "12 of 13 training users with it", "", 3, 14),
        Statement("category", "", "Art, Crafts", 1, 2),
        Statement("none"),
    ],
)
def test_every_statement_is_read_back(statement):
    assert parse_statement(statement.text) == statement
    assert parse_statement(statement.text + " And it is good.") is None


def made_lies(shown):
    """Statements that look right and are not: other counts, items, names, categories."""
    return [
        Statement("title", shown),
        Statement("title", "A title of no item"),
        Statement("series", shown, "Star Trek"),
        Statement("series", shown, "and the"),
        Statement("name", shown, "Fire"),
        Statement("users", shown, "", 5, 7),
        Statement("category", "", "Magic", 2, 2),
        Statement("category", "", "Classics", 1, 2),
        Statement("none"),
    ]


def test_the_check_finds_every_lie():
    record = made_record(["B1", "B2"], [], "M1")
    item = {"item_id": "M1", "title": TITLES[4][1], "categories": TITLES[4][2]}
    for lie in made_lies("Harry Potter and the Goblet of Fire (Harry Potter, Book 4)"):
        frame = pl.DataFrame([record | {"output": written_output(item, [lie], lie.text)}])
        checked = check_outputs(frame, ITEMS, HISTORY)
        assert (checked["statements"], checked["holding"], checked["other_sentences"]) == (1, 0.0, 0), lie
    truth = Evidence(ITEMS, HISTORY).statements(record)[0]
    mixed = written_output(item, [truth, Statement("title", "Zulu")], "They both are great.")
    checked = check_outputs(pl.DataFrame([record | {"output": mixed}]), ITEMS, HISTORY)
    assert (checked["statements"], checked["holding"], checked["other_sentences"]) == (2, 0.5, 1)
    assert checked["by_kind"] == {
        "series": {"statements": 1, "holding": 1},
        "title": {"statements": 1, "holding": 0},
    }


def test_sentences_are_the_lines_of_the_thought_and_a_rationale_of_its_own():
    record = made_record(["B1", "B2"], [], "M1")
    output = EvidenceTeacher(Evidence(ITEMS, HISTORY)).explain(record)
    assert list(sentences(output)) == texts(["B1", "B2"], [], "M1")
    assert list(sentences("no JSON at all")) == []


@pytest.mark.parametrize(
    ("title", "names"),
    [
        ("The Hunger Games (The Hunger Games, #1)", {("the", "hunger", "games")}),
        ("One for the Money (Stephanie Plum, No. 1) (Stephanie Plum Novels)", {("stephanie", "plum")}),
        ("Casino Royale (James Bond Novels)", {("james", "bond")}),
        ("Moving Pictures (Discworld Novels (Paperback))", {("discworld",)}),
        ("Live by Night: (Coughlin, Book 2)", {("coughlin",)}),
        ("Glamorous Powers (Starbridge #2)", {("starbridge",)}),
        ("Pride and Prejudice (Dover Thrift Editions)", set()),
        ("Star Wars (Special Edition)", set()),
        ("Seinfeld - Season 4 (Volume 3)", set()),
    ],
)
def test_series_are_named_in_brackets(title, names):
    assert series_names(title) == names


def test_names_are_runs_of_telling_words():
    finder = NameFinder(["Star Trek IV", "Star Trek VI", "The Matrix", *[f"Night of {k}" for k in range(30)]])
    assert finder.shared_name("Star Trek IV - The Voyage [VHS]", "Star Trek VI") == ("star", "trek")
    assert finder.shared_name("Night of 1", "Night of 2") is None  # 30 titles hold it
    assert finder.shared_name("The Complete First Season", "The Complete Second Season") is None
    assert finder.shared_name("The Matrix", "The Matrix Reloaded") == ("matrix",)
    assert as_written("Frank Herbert's Dune", ("frank", "herbert")) == "Frank Herbert"
    assert title_words("M*A*S*H: Director’s Cut") == ("m", "a", "s", "h", "director", "cut")
    assert main_words("A Farewell to Arms (A Scribner Classic)") == main_words("Farewell to Arms [VHS]")


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data/amazon_books_movies")
def test_on_real_people_every_statement_holds_and_they_tell_the_truth_from_another_movie():
    items, records, history = real_records(600)
    explained = records.with_columns(outputs(records, items, history))
    checked = check_outputs(explained, items, history)
    assert (checked["holding"], checked["other_sentences"]) == (1.0, 0)
    recount_users(explained, items, history)
    rng, movies = random.Random(0), records["gt_item_id"].unique(maintain_order=True).to_list()
    others = records.with_columns(gt_item_id=pl.Series([rng.choice(movies) for _ in range(records.height)]))
    of_others = check_outputs(others.with_columns(outputs(others, items, history)), items, history)
    assert of_others["holding"] == 1.0 and checked["linked"] > 3 * of_others["linked"]


def recount_users(explained, items, history):
    """Count users again with a self-join of polars, for every statement that counts some."""
    ids = {title: item for item, title in items.select("item_id", "title").iter_rows() if title}
    both = history.join(history, on="user_id").group_by("item_id", "item_id_right").len()
    counts = {(one, other): n for one, other, n in both.iter_rows()}
    met = 0
    for record in explained.iter_rows(named=True):
        for statement in filter(None, map(parse_statement, sentences(record["output"]))):
            if statement.kind == "users" and items.filter(pl.col("title") == statement.item).height == 1:
                other = ids[statement.item]
                assert counts[other, record["gt_item_id"]] == statement.count
                assert counts[other, other] == statement.total
                met += 1
    assert met > 10


def real_records(count):
    def read(name):
        return pl.read_csv(SHARED / name, separator="\t", quote_char=None, infer_schema=False)

    titles = pl.when(pl.col("title") != "").then("title")
    items = read("items.tsv").select(item_id="item", title=titles, categories=pl.lit([], dtype=pl.List(pl.String)))
    histories: dict[str, list[tuple[str, str]]] = {}
    for user, domain, item in read("interactions.tsv").select("user", "domain", "item").iter_rows():
        if user.startswith("tr_"):
            histories.setdefault(user, []).append((domain, item))
    rows, pairs = [], []
    for user, listed in histories.items():
        last = max(k for k, (domain, _) in enumerate(listed) if domain == "movies")
        before = listed[:last]
        pairs += [(user, item) for _, item in before]
        by_domain = {d: [item for domain, item in before if domain == d] for d in ("books", "movies")}
        if by_domain["books"] and len(rows) < count:
            rows.append(made_record(by_domain["books"], by_domain["movies"], listed[last][1]))
    return items, pl.DataFrame(rows), pl.DataFrame(pairs, schema=["user_id", "item_id"], orient="row")


def test_json_of_outputs_is_strict():
    output = outputs(made_records((["B4"], [], "M4")), ITEMS, HISTORY)[0]
    answer = json.loads(output.split("```json\n")[1].removesuffix("\n```"))
    assert answer["rationale"].startswith("It and “Mary Shelley’s Frankenstein")
