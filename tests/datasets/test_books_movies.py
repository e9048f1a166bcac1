"""`kitrec data fetch books-movies` against a local server: the tables by hand, and every way in which a fetch fails."""

import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kitrec.cli.main import app
from kitrec.core.errors import InputError
from kitrec.datasets import books_movies, downloads
from kitrec.datasets.downloads import Downloads, RemoteFile
from kitrec.datasets.titles import clean_title, normalized_id
from tests.conftest import ROOT
from tests.datasets.made_repositories import BOOKS, MOVIES, address, made_files
from tests.github_server import GitHub, serve

SHARED = ROOT.parent / "shared/data/amazon_books_movies"
FILE = RemoteFile("owner/name", "0" * 40, "a folder/big.csv")
BIG = bytes(range(256)) * 4000


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "PAUSE", 0.0)


@pytest.fixture
def github() -> Iterator[GitHub]:
    github = GitHub(files={**made_files(), address(FILE): BIG})
    server = serve(github)
    yield github
    server.shutdown()
    server.server_close()


@pytest.fixture
def made_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fabricated tables count as the published ones."""
    monkeypatch.setattr(books_movies, "PUBLISHED", {name: sha256(text) for name, text in EXPECTED.items()})


def sha256(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def fetch(github: GitHub, to: Path, *options: str):
    arguments = ["data", "fetch", "books-movies", "--to", str(to), "--host", github.url, "--quiet", *options]
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def downloads_of(github: GitHub, folder: Path) -> Downloads:
    return Downloads(folder / "downloads", folder / "fetched.json", github.url)


EXPECTED = {
    "interactions.tsv": "\n".join(
        [
            "user\tdomain\titem\trating\ttime",
            "tr_1\tbooks\t000100039X\t1\t0",
            "tr_1\tbooks\t0060000002\t1\t1",
            "tr_1\tmovies\tB00M000001\t1\t2",
            "tr_1\tbooks\t0439000003\t1\t3",
            "tr_2\tbooks\t0670000004\t1\t0",
            "tr_2\tbooks\tB00KINDLE5\t1\t1",
            "tr_2\tmovies\t0780000002\t1\t2",
            "tr_2\tmovies\t630000003X\t1\t3",
            "va_1\tbooks\t0140000006\t1\t0",
            "va_1\tmovies\tB00M000001\t1\t1",
            "te_1\tbooks\t0310000007\t1\t0",
            "te_1\tbooks\t0850000008\t1\t1",
            "te_1\tmovies\t630000003X\t1\t2",
            "ma_1\tmovies\t630000003X\t1\t0",
            "ma_1\tmovies\t0780000002\t1\t1",
            "ma_1\tmovies\tB00M000001\t1\t2",
            "",
        ]
    ),
    "items.tsv": "\n".join(
        [
            "item\tdomain\ttitle\tcategories",
            "000100039X\tbooks\tThe Prophet\t",
            "0060000002\tbooks\tStreetcar Suburbs: The Process of Growth 1870-1900\t",
            '0140000006\tbooks\tOf Mice, a \\Classic\\" (Steinbeck)\t',
            "0310000007\tbooks\tMary-Kate & Ashley\t",
            "0439000003\tbooks\tThe Games (The Games, #1)\t",
            "0670000004\tbooks\tAngels & Demons\t",
            '0780000002\tmovies\tThe "Best" of 1968\t',
            "0850000008\tbooks\tCafé Society\t",
            "630000003X\tmovies\tDune [VHS]\t",
            "B00KINDLE5\tbooks\tSouthampton Row; a Novel (Charlotte & Thomas Pitt Novels)\t",
            "B00M000001\tmovies\tTom & Jerry\t",
            "",
        ]
    ),
    "user_split.tsv": "user\tsource_split\ntr_1\ttrain_overlap\ntr_2\ttrain_overlap\nva_1\tvalid\nte_1\ttest\n"
    "ma_1\ttrain_A\n",
}


@pytest.mark.usefixtures("made_hashes")
def test_the_tables_are_those_worked_out_by_hand(github, tmp_path):
    result = fetch(github, tmp_path)
    assert result.exit_code == 0, result.output
    assert {name: (tmp_path / name).read_text() for name in EXPECTED} == EXPECTED
    assert "3 movies with a title, 8 books with a title" in result.output
    locked = json.loads((tmp_path / "fetched.json").read_text())
    assert len(locked) == len(books_movies.remote_files(book_texts=False))
    entry = locked[books_movies.HISTORIES["train_overlap"].name]
    assert entry == {"sha256": sha256(b"1\t3,4,0,5\n2\t6,7,1,2\n"), "bytes": 20, "rows": 2}


@pytest.mark.usefixtures("made_hashes")
def test_a_second_fetch_requests_nothing_and_the_books_own_texts_come_first_on_request(github, tmp_path):
    fetch(github, tmp_path)
    requests = len(github.requests)
    assert fetch(github, tmp_path).exit_code == 0 and len(github.requests) == requests
    assert fetch(github, tmp_path, "--book-texts").exit_code == 0 and len(github.requests) == requests + 1
    titles = (tmp_path / "items.tsv").read_text()
    assert f"{BOOKS[0]}\tbooks\tOwn text 0\t" in titles and f"{MOVIES[0]}\tmovies\tTom & Jerry\t" in titles


def test_tables_that_differ_from_the_published_ones_are_not_written(github, tmp_path):
    with pytest.raises(InputError, match=r"interactions.tsv, user_split.tsv would not be what the committed results"):
        fetch(github, tmp_path)
    assert not (tmp_path / "interactions.tsv").exists()


def test_another_number_of_titles_is_a_warning(github, tmp_path, monkeypatch):
    published = {name: sha256(text) for name, text in EXPECTED.items()} | {"items.tsv": "0"}
    monkeypatch.setattr(books_movies, "PUBLISHED", published)
    output = fetch(github, tmp_path).output
    assert "text_A.pkl gave 3 titles, not 12,875" in output and "items.tsv has other titles" in output


def test_a_connection_that_breaks_is_resumed_where_it_broke(github, tmp_path):
    github.cut_after, github.cuts = 300_000, 2
    path = downloads_of(github, tmp_path).fetch([FILE], quiet=True)[FILE]
    assert path.read_bytes() == BIG
    assert [first for _, first in github.requests] == [0, 300_000, 600_000]


def test_a_server_without_ranges_is_asked_for_the_whole_file(github, tmp_path):
    github.cut_after, github.cuts, github.without_ranges = 300_000, 1, True
    assert downloads_of(github, tmp_path).fetch([FILE], quiet=True)[FILE].read_bytes() == BIG


def test_a_partial_file_that_is_complete_or_too_long_ends_well(github, tmp_path):
    partial = tmp_path / "downloads" / FILE.place.parent / f"{FILE.place.name}.part"
    for content in (BIG, BIG + b"more"):
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        path = downloads_of(github, tmp_path).fetch([FILE], quiet=True)[FILE]
        assert path.read_bytes() == BIG
        path.unlink()


def test_a_process_killed_midway_keeps_what_it_has_and_the_next_one_continues(github, tmp_path):
    github.cut_after, github.cuts = 300_000, 10**6
    code = (
        "import sys; from pathlib import Path; from kitrec.datasets import downloads as d;"
        "d.PAUSE = 60; d.Downloads(Path(sys.argv[1], 'downloads'), Path(sys.argv[1], 'fetched.json'), sys.argv[2])"
        f".fetch([d.RemoteFile('{FILE.repository}', '{FILE.commit}', '{FILE.path}')], quiet=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), github.url], cwd=ROOT)
    partial = tmp_path / "downloads" / FILE.place.parent / f"{FILE.place.name}.part"
    until = time.monotonic() + 30
    while not (partial.exists() and partial.stat().st_size == 300_000) and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert partial.stat().st_size == 300_000 and not (tmp_path / "fetched.json").exists()
    github.cuts = 0
    assert downloads_of(github, tmp_path).fetch([FILE], quiet=True)[FILE].read_bytes() == BIG
    assert github.requests[-1] == (address(FILE), 300_000)


def test_a_changed_file_is_refused_and_a_damaged_copy_is_fetched_again(github, tmp_path):
    fetched = downloads_of(github, tmp_path)
    path = fetched.fetch([FILE], quiet=True)[FILE]
    path.write_bytes(BIG[:-1])  # a disk, an editor
    assert fetched.fetch([FILE], quiet=True)[FILE].read_bytes() == BIG
    path.unlink()
    github.files[address(FILE)] = BIG[::-1]
    with pytest.raises(InputError, match=r"big.csv has SHA-256 \w+…, .*fetched.json holds since the first fetch"):
        fetched.fetch([FILE], quiet=True)
    assert not path.exists() and not list(path.parent.iterdir())


def test_a_published_hash_counts_from_the_first_fetch_on(github, tmp_path):
    pinned = RemoteFile(FILE.repository, FILE.commit, FILE.path, sha256(b"something else"))
    with pytest.raises(InputError, match="kitrec expects"):
        downloads_of(github, tmp_path).fetch([pinned], quiet=True)
    right = RemoteFile(FILE.repository, FILE.commit, FILE.path, sha256(BIG))
    assert downloads_of(github, tmp_path).fetch([right], quiet=True)[right].read_bytes() == BIG


def test_a_busy_server_is_asked_again_and_a_missing_file_is_named(github, tmp_path):
    github.statuses = [503, 429]
    downloads_of(github, tmp_path).fetch([FILE], quiet=True)
    missing = RemoteFile("owner/gone", "1" * 40, "books.csv")
    with pytest.raises(InputError, match=r"owner/gone/1+/books.csv is not there any more"):
        downloads_of(github, tmp_path).fetch([missing], quiet=True)


def test_titles_that_are_gone_are_a_warning_and_a_history_that_is_gone_an_error(github, tmp_path, monkeypatch):
    without = EXPECTED["items.tsv"].replace("Mary-Kate & Ashley", "")
    published = {**EXPECTED, "items.tsv": without}
    monkeypatch.setattr(books_movies, "PUBLISHED", {name: sha256(text) for name, text in published.items()})
    gone = next(file.remote for file in books_movies.TITLES if "simpleLib" in file.remote.repository)
    del github.files[address(gone)]
    result = fetch(github, tmp_path)
    assert (tmp_path / "items.tsv").read_text() == without
    assert "BX-Books.csv is gone, so its titles are missing" in result.output and "other titles" not in result.output
    del github.files[address(books_movies.HISTORIES["valid"])]
    with pytest.raises(InputError, match=r"valid.txt is not there any more"):
        fetch(github, tmp_path / "again")


def test_an_unreachable_host_is_named(tmp_path):
    with pytest.raises(InputError, match=r"127.0.0.1:9/.* cannot be reached"):
        Downloads(tmp_path, tmp_path / "fetched.json", "http://127.0.0.1:9").fetch([FILE], quiet=True)


@pytest.mark.usefixtures("made_hashes")
@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (books_movies.HISTORIES["test"], b"1\t9,10,99\n", r"test.txt, line 1: .* with numbers of its 11 items"),
        (books_movies.HISTORIES["test"], b"1\t9,-1\n", r"test.txt, line 1"),
        (books_movies.HISTORIES["test"], b"<html>\n", r"test.txt, line 1"),
        (books_movies.NUMBERS["books"], pickle.dumps({"a": 0, "b": 2}), r"item_set_B.pkl: its 2 numbers are not 0, 1"),
        (books_movies.NUMBERS["books"], pickle.dumps({"a": "0"}), r"item_set_B.pkl: 'a' leads to str, not to int"),
        (books_movies.NUMBERS["books"], pickle.dumps(["a"]), r"item_set_B.pkl holds no dict but list"),
        (books_movies.TITLES[0].remote, pickle.dumps({"a": "b"})[:-3], r"text_A.pkl is damaged or no plain data"),
    ],
)
def test_a_file_of_another_form_is_named(github, tmp_path, file, content, message):
    github.files[address(file)] = content
    with pytest.raises(InputError, match=message):
        fetch(github, tmp_path)


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("0439023483", "0439023483"),
        ("439023483", "0439023483"),
        ("43965548X", "043965548X"),
        (" 074322678x ", "074322678X"),
        ("B00005JMJ4", "B00005JMJ4"),
        ("9.78E+12", None),
        ("9780439023483", None),
        ("isbn", None),
        ("", None),
    ],
)
def test_ids_get_the_zeros_back_that_spreadsheets_drop(text, item):
    assert normalized_id(text) == item


def test_titles_stand_on_one_line():
    assert clean_title(" A&amp;amp;E\u2028 presents\t &quot;Emma&quot; ") == 'A&E presents "Emma"'


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data/amazon_books_movies")
def test_the_published_tables_taken_apart_and_built_again_are_the_same_bytes(tmp_path):
    """The inverse of the build, from the real tables: numbered items, sequences by split, titles of both domains."""
    interactions, items, splits = ((SHARED / name).read_text().split("\n")[1:-1] for name in books_movies.NAMES)
    domain_of, title_of = {}, {}
    for line in items:
        item, domain, title, _ = line.split("\t")
        domain_of[item], title_of[item] = domain, title
    numbers = {
        d: {i: k for k, i in enumerate(sorted(i for i in domain_of if domain_of[i] == d))} for d in ("movies", "books")
    }
    offset = {"movies": 0, "books": len(numbers["movies"])}
    sequences: dict[str, list[str]] = {line.split("\t")[0]: [] for line in splits}
    for line in interactions:
        user, domain, item, _, _ = line.split("\t")
        sequences[user].append(str(offset[domain] + numbers[domain][item]))
    contents = {books_movies.NUMBERS[d]: pickle.dumps(numbers[d]) for d in numbers}
    for name, prefix in books_movies.SPLITS.items():
        lines = [f"{u[3:]}\t{','.join(s)}\n" for u, s in sequences.items() if u.startswith(f"{prefix}_")]
        contents[books_movies.HISTORIES[name]] = "".join(lines).encode()
    contents |= {file.remote: b"" for file in books_movies.TITLES}
    contents[books_movies.TITLES[0].remote] = pickle.dumps(title_of)
    paths = {}
    for k, (file, content) in enumerate(contents.items()):
        paths[file] = tmp_path / f"{k}{Path(file.path).suffix}"
        paths[file].write_bytes(content)
    built = books_movies.build(paths, book_texts=False)
    assert built.differing() == [] and built.titled == {"movies": 12_875, "books": 8_869}
