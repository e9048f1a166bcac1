"""Titles of items from tables of public repositories, by ASIN or ISBN-10, which are the same for books.

Every table is read line by line, so that a stray quotation mark costs one row. Columns are given by position: some
files have no header, some a wrong one, and a header's key is no id of any item."""

import csv
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kitrec.datasets.downloads import RemoteFile
from kitrec.datasets.plain_objects import read_mapping

ID_LENGTH = 10
_LINE_END = re.compile(r"\r\n|\n|\r")  # not str.splitlines, which also ends lines at characters that titles hold
_ATOMIC_HEADER = re.compile(r"\Aitem_id:token(?:\t\w+:(?:token_seq|token|float))+")  # of RecBole; without a line end
_ID = re.compile(r"[0-9A-Z]{1,10}")


@dataclass(frozen=True)
class TitleFile:
    """Where titles come from: the file, the columns of id and title, the delimiter (a tab: without quoting),
    and the number of rows that it gave when it was chosen, if it is known."""

    remote: RemoteFile
    key: int = 0
    title: int = 1
    delimiter: str = ","
    rows: int | None = None


def read_titles(file: TitleFile, path: Path) -> dict[str, str]:
    """Return id -> title; of rows with the same id the first with a title counts."""
    titles: dict[str, str] = {}
    pairs = read_mapping(path, str).items() if path.suffix == ".pkl" else _rows(file, _decoded(path))
    for key, text in pairs:
        if (item := normalized_id(key)) and (title := clean_title(text)):
            titles.setdefault(item, title)
    return titles


def normalized_id(text: str) -> str | None:
    """Return an ASIN or ISBN-10 in upper case, with the leading zeros that spreadsheets drop; None if it is none."""
    key = text.strip().strip('"').upper()
    if not _ID.fullmatch(key) or (not key[:-1].isdecimal() and len(key) < ID_LENGTH):
        return None
    return key.zfill(ID_LENGTH)


def clean_title(text: str) -> str:
    """Return a title on one line, with entities resolved and without doubled blanks."""
    return " ".join(html.unescape(html.unescape(text)).split())  # twice, since many were escaped twice


def _rows(file: TitleFile, text: str) -> Iterator[tuple[str, str]]:
    for line in _LINE_END.split(_ATOMIC_HEADER.sub("", text, count=1)):
        cells = line.split("\t") if file.delimiter == "\t" else _cells(line, file.delimiter)
        if len(cells) > max(file.key, file.title, -file.key - 1):
            yield cells[file.key], cells[file.title]


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:  # a cell of more than 128 KiB
        return []


def _decoded(path: Path) -> str:
    """Return the text of a file: UTF-8 if it is valid, else Latin-1, in which Book-Crossing was distributed."""
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
