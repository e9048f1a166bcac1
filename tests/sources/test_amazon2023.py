"""Raw files with the dirt of the real ones become exactly the rows that their writer meant."""

import gzip
import json

import polars as pl
import pytest

from bench import raw_amazon
from kitrec.domains import LABELS, USER_TYPES
from kitrec.errors import InputError
from kitrec.prep.users import classify
from kitrec.sources import amazon2023, amazon_files
from kitrec.sources.amazon_reviews import clean
from kitrec.sources.quarantine import Quarantine

USERS, ITEMS = 200, 60


def load(raw, work):
    quarantine = Quarantine()
    files = amazon2023.Files({d: r.reviews for d, r in raw.items()}, {d: r.meta for d, r in raw.items()})
    return *amazon2023.load(files, work, quarantine), quarantine


@pytest.fixture(scope="module", params=[".jsonl", ".jsonl.gz"])
def dirty(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    raw = raw_amazon.write(folder, 3, USERS, ITEMS, dirty=True, suffix=request.param)
    return raw, *load(raw, folder / "work")


def test_exactly_the_good_rows_come_out(dirty):
    raw, _, interactions, _ = dirty
    meant = {key: value for r in raw.values() for key, value in r.truth.items()}
    got = {(u, i): (r, t) for u, i, r, t in interactions.select("user_id", "item_id", "rating", "time").iter_rows()}
    assert got == meant


def test_every_type_has_its_users(dirty):
    _, _, interactions, _ = dirty
    members = classify(interactions)
    assert {kind: len(users) for kind, users in members.items()} == dict.fromkeys(USER_TYPES, USERS // len(USER_TYPES))


def test_bad_rows_are_counted_by_reason_and_lines_named(dirty):
    raw, _, _, quarantine = dirty
    reasons = quarantine.reasons()
    assert reasons["broken JSON or text"] == 3 * len(LABELS)  # no JSON, a list, the cut last line, in every file
    assert {"no user_id", "rating is no number", "rating outside 1-5"} <= set(reasons)
    lines = sum(text_of(r.reviews).count("\n") + 1 for r in raw.values()) + ITEMS * len(LABELS)
    blank = len(LABELS)
    assert quarantine.read == lines - blank
    for reject in quarantine.rejects[:20]:
        line = text_of(pathlike(raw, reject.file)).split("\n")[reject.line - 1]
        assert judged_bad(line), (reject, line)


def test_item_texts_are_clean(dirty):
    _, items, _, _ = dirty
    titles = items["title"].drop_nulls().to_list()
    assert any(title.startswith("Café & No.") and title.endswith(" again") for title in titles)
    assert items.filter(~pl.col("has_metadata"))["title"].null_count() == items.filter(~pl.col("has_metadata")).height
    text = "".join(titles + items["description"].drop_nulls().to_list())
    assert not set(text) & {"\u2028", "\t", "\n", "<", ";"}
    assert set(items["year"]) == {2012}


def test_small_blocks_give_the_same(dirty, tmp_path, monkeypatch):
    raw, items, interactions, quarantine = dirty
    monkeypatch.setattr(amazon_files, "BLOCK", 1000)
    items_again, interactions_again, quarantine_again = load(raw, tmp_path)
    assert interactions_again.equals(interactions) and items_again.equals(items)
    assert sorted(r.line for r in quarantine_again.rejects) == sorted(r.line for r in quarantine.rejects)


def test_seconds_become_milliseconds(tmp_path):
    raw = raw_amazon.write(tmp_path, 1, 10, 20, dirty=False, suffix=".jsonl")
    for files in raw.values():
        rows = [json.loads(line) for line in files.reviews.read_text().split("\n")]
        seconds = [json.dumps({**row, "timestamp": row["timestamp"] // 1000}) for row in rows]
        files.reviews.write_text("\n".join(seconds))
    _, interactions, _ = load(raw, tmp_path / "work")
    got = {(u, i): t for u, i, t in interactions.select("user_id", "item_id", "time").iter_rows()}
    assert got == {key: time // 1000 * 1000 for r in raw.values() for key, (_, time) in r.truth.items()}


def test_a_gz_cut_in_the_middle_is_named(tmp_path):
    raw = raw_amazon.write(tmp_path, 1, 400, 60, dirty=False)
    path = raw["movies"].reviews
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"Movies_and_TV\.jsonl\.gz is cut or damaged behind line \d+"):
        load(raw, tmp_path / "work")


def test_an_empty_domain_and_strangers_are_named(tmp_path):
    raw = raw_amazon.write(tmp_path / "one", 1, 40, 60, dirty=False, suffix=".jsonl")
    other = tmp_path / "books.jsonl"
    other.write_text(raw["books"].reviews.read_text().replace("AE0", "XX0"))
    strangers = {**raw, "books": raw_amazon.Raw(other, raw["books"].meta, {})}
    with pytest.raises(InputError, match="no user has 5 books and an item of Movies & TV or Music"):
        load(strangers, tmp_path / "work")
    raw["music"].reviews.write_text("")
    with pytest.raises(InputError, match="holds no usable review"):
        load(raw, tmp_path / "work2")


@pytest.mark.parametrize(
    ("dirt", "text"),
    [
        ("Tom &amp;amp; Jerry", "Tom & Jerry"),
        ("a\u2028b\x00c\td", "a b c d"),
        ("<p>One</p><br/>two", "One two"),
        ("1 < 2", "1 < 2"),
        ("left | right", "left / right"),
        ("  ", None),
        (None, None),
        ("word " * 60, ("word " * 39).strip() + "…"),
    ],
)
def test_text_is_normalised(dirt, text):
    assert clean(dirt, 200) == text


def text_of(path):
    return (gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")).read()


def pathlike(raw, name):
    return next(path for r in raw.values() for path in (r.reviews, r.meta) if str(path) == name)


def judged_bad(line):
    try:
        row = json.loads(line)
    except ValueError:
        return True
    if not isinstance(row, dict):
        return True
    return any(row.get(key) == bad[key] for bad in raw_amazon.BAD for key in bad)
