"""The tables of `amazon_books_movies`: Books and Movies & TV histories of the same people on Amazon, with titles.

Histories are those of LLMCDSR (Xin et al., TOIS 2025): one line per user, `number<tab>item,item,…`, oldest first, over
both domains. Items are numbered movies first; `item_set_A` and `item_set_B` give the ASINs. The repository has implicit
feedback and no clock: every rating is 1, the time is the position. Movies have Amazon's titles, some books those that
other public tables know; of several the first counts. Licences: Amazon's data is for research, most repositories state
none, so the tables are made on the user's machine and never distributed."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.datasets.downloads import RemoteFile
from kitrec.datasets.plain_objects import read_mapping
from kitrec.datasets.titles import TitleFile, read_titles

LLMCDSR = ("xhran2010/LLMCDSR", "5825e999d87c4b7f90448df17d05c5f9cea047ba")
SRIN = ("abiwardani/srin-cdr", "c0bb5062ddaa5ea1153a8a271fa3ba1dd7c09e98")
GOODREADS = ("michaelschung/bc-data-processing", "48f1443")  # an abbreviated commit where no more is known
GOODBOOKS = ("zygmuntz/goodbooks-10k", "6dd165b555a7b47b2dd36743a425776e641ff50c")
GRODE = ("Grode23/Recommendation-Systems", "a2471641ea671df8ca9447491ae3acdedffef1de")
SPRINGTIMING = ("springtiming/ML-Models-for-Book-Rating-Prediction", "bd2f6c27b5809f2cc44e24489188797ba7238bae")
SIMPLE_LIB = ("cosmos-way/simpleLib", "8eb96a1cbb2e86c8bd8a7ee57ee4d3f97edc819c")
BOOK_COVERS = ("uchidalab/book-dataset", "f0f0039c109c18599fd1b67b36a8f241b55f4b2f")
SPLITS = {"train_overlap": "tr", "valid": "va", "test": "te", "train_A": "ma"}  # file -> prefix of its users
NAMES = ("interactions.tsv", "items.tsv", "user_split.tsv")


def _of(repository: tuple[str, str], path: str) -> RemoteFile:
    """Return a file; only those of the histories' own repository are indispensable."""
    return RemoteFile(*repository, path, optional=repository != LLMCDSR)


HISTORIES = {name: _of(LLMCDSR, f"data/movie-book/{name}.txt") for name in SPLITS}
NUMBERS = {domain: _of(LLMCDSR, f"data/movie-book/item_set_{x}.pkl") for domain, x in (("movies", "A"), ("books", "B"))}
BOOK_TEXTS = TitleFile(_of(LLMCDSR, "data/movie-book/text_B.pkl"))
TITLES = (
    TitleFile(_of(LLMCDSR, "data/movie-book/text_A.pkl"), rows=12_875),
    TitleFile(_of(SRIN, "dataset/amazon-custom-books/amazon-custom-books.item"), 0, 4, "\t", 4_880),
    TitleFile(_of(SRIN, "dataset/amazon-custom-movies-tv/amazon-custom-movies-tv.item"), 0, 2, "\t", 4_922),
    TitleFile(_of(GOODREADS, "datasets/final-projects/zoe/books.csv"), -8, 1),  # authors of four rows hold a comma
    TitleFile(_of(GOODBOOKS, "books.csv"), 5, 10, rows=9_300),
    TitleFile(_of(("DimSalm/ProjectBigData", "e68bd9e"), "BX_Books.csv")),
    TitleFile(_of(GRODE, "CSV-files/BX-Books.csv"), delimiter=";"),
    TitleFile(_of(SPRINGTIMING, "BX-Books.csv")),
    TitleFile(_of(SPRINGTIMING, "BX-NewBooks.csv")),
    TitleFile(_of(SIMPLE_LIB, "BX-Books.csv"), 4, 10, ";"),
    TitleFile(_of(("hitro45-web/Book-recommendation-system", "5fc3d68"), "books_cleaned.csv"), 1, 2),
    TitleFile(_of(BOOK_COVERS, "Task1/book30-listing-test.csv"), 0, 3),
)
# SHA-256 of the tables that the committed results were computed on.
PUBLISHED = {
    "interactions.tsv": "13e8bfb82fc0e3c2ff87f5ed8a57dcb8bdc8c1ea464104ed1a3ac60f39d4d5b4",
    "items.tsv": "9abacdd1bd9862745e9ab2e6da9241d7c5ea22144ca45545b19d0bfad45d3e01",
    "user_split.tsv": "1d956027e4b499fb339d624c2a0c3069ff3216125efcee34ec90e1b7e20c9db1",
}


@dataclass(frozen=True)
class Built:
    """The text of the tables by name, the rows that each file gave by its name, and items with a title by domain."""

    tables: Mapping[str, str]
    rows: Mapping[str, int]
    titled: Mapping[str, int]

    def differing(self, names: Sequence[str] = NAMES) -> list[str]:
        """Return the tables that are not those the committed results were computed on."""
        return [name for name in names if hashlib.sha256(self.tables[name].encode()).hexdigest() != PUBLISHED[name]]


def title_files(*, book_texts: bool) -> tuple[TitleFile, ...]:
    """Return the files of titles in the order in which they count; `book_texts`: the books' own ones first."""
    return (BOOK_TEXTS, *TITLES) if book_texts else TITLES


def remote_files(*, book_texts: bool) -> list[RemoteFile]:
    """Return all files that the tables are made of."""
    return [*HISTORIES.values(), *NUMBERS.values(), *(file.remote for file in title_files(book_texts=book_texts))]


def build(paths: Mapping[RemoteFile, Path], *, book_texts: bool) -> Built:
    """Make the tables from fetched files; files of titles may lack."""
    items = _item_names(paths)
    sequences = {name: list(_sequences(paths[file], items)) for name, file in HISTORIES.items()}
    domains = {item: domain for rows in sequences.values() for _, row in rows for domain, item in row}
    titles: dict[str, str] = {}
    counts = {HISTORIES[name].name: len(rows) for name, rows in sequences.items()}
    for file in (file for file in title_files(book_texts=book_texts) if file.remote in paths):
        read = read_titles(file, paths[file.remote])
        counts[file.remote.name] = len(read)
        titles = {**read, **titles}
    tables = {
        "interactions.tsv": _table("user\tdomain\titem\trating\ttime", _interactions(sequences)),
        "items.tsv": _table(
            "item\tdomain\ttitle\tcategories",
            (f"{item}\t{domains[item]}\t{titles.get(item, '')}\t" for item in sorted(domains)),
        ),
        "user_split.tsv": _table(
            "user\tsource_split", (f"{SPLITS[name]}_{u}\t{name}" for name, rows in sequences.items() for u, _ in rows)
        ),
    }
    titled = {d: sum(item in titles for item, domain in domains.items() if domain == d) for d in ("movies", "books")}
    return Built(tables, counts, titled)


def write(built: Built, folder: Path) -> None:
    """Write the tables, each complete or not at all."""
    for name, text in built.tables.items():
        with files.atomic(folder / name) as draft:
            draft.write_text(text, encoding="utf-8", newline="")


def _item_names(paths: Mapping[RemoteFile, Path]) -> list[tuple[str, str]]:
    """Return (domain, ASIN) of every item number: movies first, then books."""
    names: list[tuple[str, str]] = []
    for domain, file in NUMBERS.items():
        numbers = read_mapping(paths[file], int)
        if sorted(numbers.values()) != list(range(len(numbers))):
            raise InputError(f"{paths[file]}: its {len(numbers)} numbers are not 0, 1, 2, …: not the expected file")
        names += [(domain, item) for item, _ in sorted(numbers.items(), key=lambda pair: pair[1])]
    return names


def _sequences(path: Path, items: Sequence[tuple[str, str]]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield (user number, items with their domain, oldest first)."""
    for number, line in enumerate(path.read_text(encoding="ascii", errors="replace").splitlines(), start=1):
        user, _, listed = line.partition("\t")
        try:
            yield str(int(user)), [items[_index(text)] for text in listed.split(",")]
        except (ValueError, IndexError):
            raise InputError(
                f"{path}, line {number}: {line[:60]!r} is not `user<tab>item,item,…` with numbers of its {len(items)} "
                "items: not the expected file"
            ) from None


def _index(text: str) -> int:
    """Return a number that is not negative; a negative one would count from the end."""
    if not text.isdecimal():
        raise ValueError(text)
    return int(text)


def _interactions(sequences: Mapping[str, Sequence[tuple[str, list[tuple[str, str]]]]]) -> Iterator[str]:
    for name, rows in sequences.items():
        for user, items in rows:
            yield from (f"{SPLITS[name]}_{user}\t{d}\t{item}\t1\t{time}" for time, (d, item) in enumerate(items))


def _table(header: str, lines: Iterator[str]) -> str:
    return "".join(f"{line}\n" for line in (header, *lines))
