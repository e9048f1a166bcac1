"""`kitrec data fetch NAME`: public data sets, fetched from where they lie and turned into tables.

kitrec data fetch books-movies --to raw
kitrec data fetch books-movies --to raw --book-texts"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from kitrec.cli import output
from kitrec.cli.names import require_name
from kitrec.core.errors import InputError
from kitrec.datasets import books_movies
from kitrec.datasets.downloads import GITHUB, LOCK, Downloads

app = typer.Typer(no_args_is_help=True, help=__doc__)
NAMES = ("books-movies",)
EXACT = ("interactions.tsv", "user_split.tsv")  # titles may differ: their sources disappear


@app.callback()
def data() -> None:
    """Fetch public data sets."""


@app.command()
@output.prints_tables
def fetch(
    name: Annotated[str, typer.Argument(help=f"one of {', '.join(NAMES)}")],
    to: Annotated[Path, typer.Option(help="folder of the tables; the fetched files are kept in its `downloads`")],
    book_texts: Annotated[
        bool,
        typer.Option("--book-texts", help="also the books' own texts: all are titled, results not comparable"),
    ] = False,
    host: Annotated[str, typer.Option(help="a mirror that serves OWNER/REPOSITORY/COMMIT/PATH")] = GITHUB,
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress bars")] = not sys.stderr.isatty(),
) -> None:
    """Fetch the files of a public data set at pinned commits and write interactions.tsv, items.tsv, user_split.tsv.

    Run again after an interruption: complete files are kept, cut ones continued. `fetched.json` holds hash, length
    and rows of every file; a later fetch, here or on another machine that has this file, must agree with it."""
    require_name(name, NAMES, "public data set")
    remote = books_movies.remote_files(book_texts=book_texts)
    downloads = Downloads(to / "downloads", to / LOCK, host)
    paths = downloads.fetch(remote, quiet=quiet)
    built = books_movies.build(paths, book_texts=book_texts)
    differing = built.differing()
    if unexpected := [table for table in EXACT if table in differing]:
        raise InputError(
            f"{', '.join(unexpected)} would not be what the committed results were computed on, so nothing was "
            f"written: {books_movies.LLMCDSR[0]} serves other files than at the pinned commit. Remove {to / LOCK} and "
            f"{to / 'downloads'}, and fetch again without a mirror"
        )
    books_movies.write(built, to)
    downloads.record_rows(built.rows)
    _print_tables(built, to)
    for warning in _warnings(built, differing, book_texts=book_texts):
        print(f"WARNING: {warning}", file=sys.stderr)


def _print_tables(built: books_movies.Built, folder: Path) -> None:
    rows = [{"table": str(folder / name), "rows": text.count("\n") - 1} for name, text in built.tables.items()]
    cells = {"table": output.text("table"), "rows": output.number("rows", ",")}
    output.table(output.Sheet("tables", "", rows, cells, ("table",)))
    output.note(", ".join(f"{count:,} {domain} with a title" for domain, count in built.titled.items()))


def _warnings(built: books_movies.Built, differing: list[str], *, book_texts: bool) -> list[str]:
    """Return what differs from the tables that the committed results were computed on."""
    warnings = []
    for file in books_movies.title_files(book_texts=book_texts):
        titles = built.rows.get(file.remote.name)
        if titles is None:
            warnings.append(f"{file.remote.name} is gone, so its titles are missing")
        elif file.rows not in (None, titles):
            warnings.append(f"{file.remote.name} gave {titles:,} titles, not {file.rows:,}")
    if "items.tsv" in differing and not book_texts:
        warnings.append("items.tsv has other titles than the one that the committed results were computed on")
    return warnings
