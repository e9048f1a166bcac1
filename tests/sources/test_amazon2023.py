"""Raw files with realistic defects yield exactly the valid rows."""

import gzip
import json

import polars as pl
import pytest

from bench import raw_amazon
from kitrec.core.domains import KITREC
from kitrec.core.errors import InputError
from kitrec.preprocessing.params import Users
from kitrec.preprocessing.users import classify
from kitrec.sources import amazon2023, amazon_files
from kitrec.sources.amazon_reviews import META, REVIEW, clean, read_reviews
from kitrec.sources.quarantine import Quarantine

USERS, ITEMS = 200, 60


def made_users(**sizes) -> Users:
    return Users(**sizes, min_source_items=5, cut=False)


ALL_USERS = made_users(train=16, preference=0, test=4, development_share=0.1)


def load(raw, work, users=ALL_USERS, include_others=False):
    quarantine = Quarantine()
    files = amazon2023.RawFiles({d: r.reviews for d, r in raw.items()}, {d: r.meta for d, r in raw.items()})
    sample = amazon2023.load(files, 1, users, work, quarantine, include_others=include_others, quiet=True)
    return sample, quarantine


@pytest.fixture(scope="module", params=[".jsonl", ".jsonl.gz"])
def dirty(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    raw = raw_amazon.write(folder, 3, USERS, ITEMS, dirty=True, suffix=request.param)
    return raw, *load(raw, folder / "work")


def pairs(sample):
    return {
        (u, i): (r, t) for u, i, r, t in sample.interactions.select("user_id", "item_id", "rating", "time").iter_rows()
    }


def test_exactly_the_valid_rows_are_read(dirty):
    raw, sample, _ = dirty
    assert pairs(sample) == {key: value for r in raw.values() for key, value in r.good_rows.items()}


def test_users_are_counted_by_type(dirty):
    _, sample, _ = dirty
    members = classify(sample.interactions, KITREC, 5)
    assert {kind: len(users) for kind, users in members.items()} == dict.fromkeys(
        KITREC.user_types, USERS // len(KITREC.user_types)
    )
    assert sample.counts["users_by_type"] == dict.fromkeys(KITREC.user_types, USERS // len(KITREC.user_types))


def test_users_are_sampled_by_type_and_only_their_interactions_are_read_back(dirty, tmp_path):
    raw, _, _ = dirty
    sample, _ = load(raw, tmp_path, made_users(train=3, preference=1, test=2, development_share=0.1))
    sizes = [{role: len(ids) for role, ids in groups.items()} for groups in sample.roles.values()]
    assert sizes == [{"train": 3, "preference": 1, "test": 2}] * len(KITREC.user_types)
    assert sample.interactions["user_id"].n_unique() == 6 * len(KITREC.user_types)


def test_invalid_rows_are_counted_by_reason_and_located(dirty):
    raw, _, quarantine = dirty
    reasons = quarantine.reasons()
    assert reasons["broken JSON or text"] == 3 * len(KITREC.labels)  # no JSON, a list, the cut last line, in every file
    assert {"no user_id", "rating is no number", "rating outside 1-5"} <= set(reasons)
    lines = sum(read_text(r.reviews).count("\n") + 1 for r in raw.values()) + ITEMS * len(KITREC.labels)
    blank = len(KITREC.labels)
    assert quarantine.read == lines - blank
    for reject in quarantine.rejects[:20]:
        line = read_text(path_named(raw, reject.file)).split("\n")[reject.line - 1]
        assert is_invalid(line), (reject, line)


def test_item_texts_are_clean(dirty):
    items = dirty[1].items
    titles = items["title"].drop_nulls().to_list()
    assert any(title.startswith("Café & No.") and title.endswith(" again") for title in titles)
    assert items.filter(~pl.col("has_metadata"))["title"].null_count() == items.filter(~pl.col("has_metadata")).height
    text = "".join(titles + items["description"].drop_nulls().to_list())
    assert not set(text) & {"\u2028", "\t", "\n", "<", ";"}
    assert 'First "part". Second part \\ end.' in set(items["description"])
    assert set(items["year"]) == {2012}


def test_small_blocks_and_a_resumed_run_give_the_same_sample(dirty, tmp_path, monkeypatch):
    raw, sample, quarantine = dirty
    monkeypatch.setattr(amazon_files, "BLOCK", 1000)
    monkeypatch.setattr(amazon2023, "BATCH_ROWS", 100)
    for _ in range(2):  # the second run finds the copies of the first
        resampled, quarantine_again = load(raw, tmp_path)
        assert resampled.interactions.equals(sample.interactions) and resampled.items.equals(sample.items)
        assert resampled.counts == sample.counts and resampled.roles == sample.roles
        assert sorted(r.line for r in quarantine_again.rejects) == sorted(r.line for r in quarantine.rejects)


def test_the_interactions_of_other_users_are_read_on_request(dirty, tmp_path):
    raw, _, _ = dirty
    users = made_users(train=3, preference=1, test=2, development_share=0.1)
    without_others, _ = load(raw, tmp_path, users)
    sample, _ = load(raw, tmp_path, users, include_others=True)
    assert without_others.others.is_empty() and sample.interactions.equals(without_others.interactions)
    sampled = set(sample.interactions["user_id"])
    eligible = {user for domain, r in raw.items() if domain != "books" for user, _ in r.good_rows} - sampled
    truth = {key for r in raw.values() for key in r.good_rows if key[0] in eligible}
    assert set(sample.others.select("user_id", "item_id").iter_rows()) == truth
    assert sample.others.height == len(truth) > 0


def test_parquet_files_give_the_same_sample(tmp_path):
    """As it is published: numbers and lists in columns of their own type."""
    raw = raw_amazon.write(tmp_path, 1, 40, 60, dirty=False, suffix=".jsonl")
    users = made_users(train=2, preference=1, test=1, development_share=0.5)
    sample, _ = load(raw, tmp_path / "work", users)
    for files in raw.values():
        for path in (files.reviews, files.meta):
            rows = [json.loads(line) for line in path.read_text().strip().split("\n")]
            frame = pl.DataFrame([{key: row[key] for key in (*REVIEW, *META) if key in row} for row in rows])
            details = (
                [pl.lit('{"Publication date": "May 4, 2012"}').alias("details")] if "details" in frame.columns else []
            )
            frame.with_columns(details).write_parquet(path.with_suffix(".parquet"))
    as_parquet = {
        d: raw_amazon.Raw(r.reviews.with_suffix(".parquet"), r.meta.with_suffix(".parquet"), r.good_rows)
        for d, r in raw.items()
    }
    resampled, _ = load(as_parquet, tmp_path / "resampled", users)
    assert resampled.interactions.equals(sample.interactions) and resampled.items.equals(sample.items)


def as_rating_only(raw, suffix):
    """The reviews as the rating-only files have them: the documented header, a row per review, no texts."""
    files = {}
    for domain, r in raw.items():
        path = r.reviews.parent / (r.reviews.name.split(".")[0] + suffix)
        rows = [json.loads(line) for line in read_text(r.reviews).strip().split("\n")]
        lines = [f"{row['user_id']},{row['parent_asin']},{row['rating']},{row['timestamp']}" for row in rows]
        text = "\n".join(["user_id,parent_asin,rating,timestamp", *lines]) + "\n"
        path.write_bytes(gzip.compress(text.encode()) if suffix.endswith(".gz") else text.encode())
        files[domain] = raw_amazon.Raw(path, r.meta, r.good_rows)
    return files


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_rating_only_files_give_the_same_sample(tmp_path, suffix, monkeypatch):
    raw = raw_amazon.write(tmp_path, 1, 40, 60, dirty=False, suffix=".jsonl")
    users = Users(train=2, preference=1, test=1, development_share=0.5, min_source_items=5, cut=False)
    sample, _ = load(raw, tmp_path / "work", users)
    for block in (amazon_files.BLOCK, 700):
        monkeypatch.setattr(amazon_files, "BLOCK", block)
        resampled, quarantine = load(as_rating_only(raw, suffix), tmp_path / f"work{block}", users)
        assert resampled.interactions.equals(sample.interactions) and resampled.items.equals(sample.items)
        assert not quarantine.rejects and quarantine.read == sum(len(r.good_rows) for r in raw.values()) + 60 * len(raw)


def test_invalid_rows_of_a_rating_only_file_are_located(tmp_path):
    """The first line and the first row are those of the data's own page on its 5-core files."""
    path = tmp_path / "All_Beauty.csv"
    path.write_bytes(
        b"user_id,parent_asin,rating,timestamp\r\n"
        b"AGKHLEW2SOWHNMFQIJGBECAF7INQ,B081TJ8YS3,4.0,1588615855070\r\n\r\n"
        b",B081TJ8YS3,4.0,1588615855070\nA,B081TJ8YS3,six,1588615855070\nA,B,4.0\nA,B,4.0,1588615855070,more\n"
        b"A\xff,B,4.0,1588615855070\nA,B,5.0,1588615855"
    )
    quarantine = Quarantine()
    rows = pl.concat(read_reviews(path, quarantine, quiet=True))
    first = ("AGKHLEW2SOWHNMFQIJGBECAF7INQ", "B081TJ8YS3", 4.0, 1588615855070)
    assert rows.rows() == [first, ("A", "B", 5.0, 1588615855000)]
    assert quarantine.read == 7 and sorted((r.line, r.reason) for r in quarantine.rejects) == [
        (4, "no user_id"),
        (5, "rating is no number"),
        (6, "broken CSV or text"),
        (7, "broken CSV or text"),
        (8, "broken CSV or text"),
    ]


def test_a_csv_file_of_other_columns_is_named(tmp_path):
    path = tmp_path / "Books.csv"
    path.write_text("user,item,rating,timestamp\na,b,4.0,1588615855070\n")
    with pytest.raises(InputError, match=r"Books.csv has no column user_id, parent_asin: a rating-only file begins"):
        list(read_reviews(path, Quarantine(), quiet=True))


def test_rating_only_files_are_found_by_name_after_reviews_with_texts(tmp_path):
    names = {"books": "Books", "movies": "Movies_and_TV", "music": "CDs_and_Vinyl"}
    for name in names.values():
        for file in (f"{name}.csv.gz", f"meta_{name}.jsonl.gz", f"meta_{name}.csv.gz"):
            (tmp_path / file).touch()
    (tmp_path / "Books.jsonl").touch()
    found = amazon2023.find_files(tmp_path, names)
    assert [path.name for path in found.reviews.values()] == [
        "Books.jsonl",
        "Movies_and_TV.csv.gz",
        "CDs_and_Vinyl.csv.gz",
    ]
    assert all(path.name.endswith(".jsonl.gz") for path in found.meta.values())
    (tmp_path / "meta_Books.jsonl.gz").unlink()
    with pytest.raises(InputError, match=r"lacks meta_Books \(.*for reviews also .csv.gz"):
        amazon2023.find_files(tmp_path, names)


def test_an_item_sold_in_two_domains_belongs_to_the_first(tmp_path):
    raw = raw_amazon.write(tmp_path, 1, 40, 60, dirty=False, suffix=".jsonl")
    book, film = (json.loads(raw[d].reviews.read_text().split("\n")[0])["parent_asin"] for d in ("books", "movies"))
    raw["movies"].reviews.write_text(raw["movies"].reviews.read_text().replace(film, book))
    users = made_users(train=1, preference=0, test=1, development_share=0.5)
    sample, _ = load(raw, tmp_path / "work", users)
    assert sample.items.filter(pl.col("item_id") == book)["domain"].to_list() == ["books"]
    assert sample.counts["reviews of another domain's item"] > 0
    assert not sample.interactions.filter(pl.col("item_id") == book, pl.col("domain") == "movies").height


def test_all_types_with_too_few_users_are_reported(tmp_path):
    raw = raw_amazon.write(tmp_path, 1, 40, 60, dirty=False, suffix=".jsonl")
    with pytest.raises(InputError, match=r"overlapping_books_movies has 4 users.*source_only_music has 4 users"):
        load(raw, tmp_path / "work", made_users(train=5, preference=0, test=1, development_share=0.1))


def test_seconds_become_milliseconds(tmp_path):
    raw = raw_amazon.write(tmp_path, 1, 20, 20, dirty=False, suffix=".jsonl")
    for files in raw.values():
        rows = [json.loads(line) for line in files.reviews.read_text().strip().split("\n")]
        seconds = [json.dumps({**row, "timestamp": row["timestamp"] // 1000}) for row in rows]
        files.reviews.write_text("\n".join(seconds))
    sample, _ = load(raw, tmp_path / "work", made_users(train=1, preference=0, test=1, development_share=0.5))
    times = {key: time for key, (_, time) in pairs(sample).items()}
    assert times == {key: time // 1000 * 1000 for r in raw.values() for key, (_, time) in r.good_rows.items()}


def test_a_truncated_gz_file_is_reported(tmp_path):
    raw = raw_amazon.write(tmp_path, 1, 400, 60, dirty=False)
    path = raw["movies"].reviews
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"Movies_and_TV\.jsonl\.gz is cut or damaged behind line \d+"):
        load(raw, tmp_path / "work")


def test_an_empty_domain_and_domains_without_common_users_are_reported(tmp_path):
    raw = raw_amazon.write(tmp_path / "one", 1, 40, 60, dirty=False, suffix=".jsonl")
    other = tmp_path / "books.jsonl"
    other.write_text(raw["books"].reviews.read_text().replace("AE0", "XX0"))
    strangers = {**raw, "books": raw_amazon.Raw(other, raw["books"].meta, {})}
    with pytest.raises(InputError, match=r"source_only_music has 0 users"):
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
    assert clean(pl.Series([dirt, "x"], dtype=pl.String), 200).to_list() == [text, "x"]


def read_text(path):
    return (gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")).read()


def path_named(raw, name):
    return next(path for r in raw.values() for path in (r.reviews, r.meta) if str(path) == name)


def is_unreadable(line):
    try:
        return not isinstance(json.loads(line), dict)
    except ValueError:
        return True


def is_invalid(line):
    if is_unreadable(line):
        return True
    row = json.loads(line)
    return any(row.get(key) == bad[key] for bad in raw_amazon.BAD for key in bad)
