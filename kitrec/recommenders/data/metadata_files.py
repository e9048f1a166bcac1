"""Item metadata as people keep it: TSV files keyed by item, each read if it is there.

    genres.tsv, directors.tsv, writers.tsv   item, value; an item with several values has several rows
    years.tsv                                item, year of release
    titles.tsv                               item, title (text), or in the form of an embeddings file:
                                             item, then the numbers of its vector with spaces between
The two kinds of titles.tsv are told apart by what is in them. Rows of items that no reader touched are left out and
counted, a row that comes twice counts once; an item without a row has no value, or a zero vector."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.recommenders.data.item_metadata import Known
from kitrec.recommenders.data.sequences import Sequences, of_rows
from kitrec.recommenders.data.vocabulary import Vocabulary

FILES = {"genre": "genres.tsv", "director": "directors.tsv", "writer": "writers.tsv"}
TITLES, YEARS = "titles.tsv", "years.tsv"
LOOKED_AT = 10  # rows of a file of titles, to see what it holds


@dataclass(frozen=True)
class Read:
    known: Known
    notices: list[str]  # what was switched off, left out or missing, for a person to read


def read_metadata(folder: Path, vocabulary: Vocabulary, features: list[str], embeddings: Path | None = None) -> Read:
    """What the asked features know of the items; `embeddings` names the file of title vectors where it is elsewhere."""
    values, counts, notices, titles = {}, {}, [], None
    for name in features:
        path = (embeddings or folder / TITLES) if name == "title" else folder / FILES[name]
        if not path.exists():
            notices.append(f"{name} is off: there is no {path}")
        elif name == "title":
            titles, notice = _vectors(path, vocabulary)
            notices.append(notice)
        else:
            values[name], counts[name], notice = _values(path, vocabulary)
            notices.append(notice)
            several = int((values[name].lengths > 1).sum())
            if name == "director" and several:
                notices.append(f"{path}: {several} items have several directors, their mean stands for one")
    return Read(Known(values, counts, titles), notices)


def read_years(path: Path, vocabulary: Vocabulary) -> tuple[np.ndarray, str]:
    """[N + 1] year of release of each item number, the first of several, NaN where none is told; and what was left out.

    A date counts by its year."""
    rows, notice = _of_items(path, vocabulary)
    told = rows.with_columns(pl.col("value").str.extract(r"^\s*(\d{4})(?:\.0*|-\d\d.*)?\s*$").cast(pl.Float64))
    first = told.drop_nulls("value").group_by("number").agg(pl.col("value").min())
    years = np.full(len(vocabulary) + 1, np.nan)
    years[first["number"].to_numpy()] = first["value"].to_numpy()
    return years, f"{notice}, {told['value'].null_count()} rows without a year"


def pairs(path: Path) -> pl.DataFrame:
    """item and value, each row once."""
    try:
        rows = pl.read_csv(path, separator="\t", infer_schema=False, quote_char=None)
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise InputError(
            f"{path} is no table ({problem}): its columns are item and a value, with a tab between"
        ) from None
    if rows.width != 2:
        raise InputError(f"{path} has {rows.width} columns: it needs item and a value, with a tab between")
    rows.columns = ["item", "value"]
    return rows.drop_nulls().unique(maintain_order=True)


def is_embeddings(path: Path) -> bool:
    """Whether the second column holds vectors, not text: two or more numbers in most of the first rows."""
    try:
        with path.open(encoding="utf-8") as stream:
            first = [line.rstrip("\n").partition("\t")[2].split() for line in islice(stream, 1, 1 + LOOKED_AT)]
    except UnicodeDecodeError as problem:
        raise InputError(f"{path} is no text in UTF-8 ({problem}): convert it") from None
    return sum(len(words) > 1 and all(map(_is_number, words)) for words in first) * 2 > len(first)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _values(path: Path, vocabulary: Vocabulary) -> tuple[Sequences, int, str]:
    rows, notice = _of_items(path, vocabulary)
    names = rows["value"].unique().sort()
    numbered = rows.join(pl.DataFrame({"value": names, "code": np.arange(len(names))}), on="value").sort(
        "number", "code"
    )
    lists = of_rows(numbered["number"].to_numpy(), numbered["code"].to_numpy(), len(vocabulary) + 2)
    return lists, len(names), f"{notice}, {len(names)} values"


def _vectors(path: Path, vocabulary: Vocabulary) -> tuple[np.ndarray, str]:
    if not is_embeddings(path):
        raise InputError(f"{path} holds titles, not their vectors: make them by `kitrec title-embeddings`")
    rows, notice = _of_items(path, vocabulary)
    twice = rows.filter(pl.len().over("number") > 1)["item"].unique(maintain_order=True)
    if len(twice):
        raise InputError(f"{path}: {len(twice)} items have more than one vector: {', '.join(twice.head(5))}")
    parsed = rows.with_columns(
        pl.col("value").str.extract_all(r"\S+").cast(pl.List(pl.Float32), strict=False).alias("vector")
    )
    widths = parsed["vector"].list.len()
    numbers = pl.element().is_not_null() & pl.element().is_finite()
    broken = parsed.filter((widths != widths.mode()[0]) | ~parsed["vector"].list.eval(numbers).list.all())
    if broken.height:
        listed = ", ".join(broken["item"].head(5))
        raise InputError(
            f"{path}: vectors of {broken.height} items are broken or not {widths.mode()[0]} wide: {listed}"
        )
    vectors = np.zeros((len(vocabulary) + 2, int(widths.mode()[0])), dtype=np.float32)
    vectors[parsed["number"].to_numpy()] = np.array(parsed["vector"].to_list(), dtype=np.float32)
    return vectors, f"{notice}, {vectors.shape[1]} wide"


def _of_items(path: Path, vocabulary: Vocabulary) -> tuple[pl.DataFrame, str]:
    """item, value, number of the known items' rows; and what was left out in words."""
    rows = pairs(path)
    rows = rows.with_columns(pl.Series("number", vocabulary.numbers(rows["item"])))
    kept = rows.filter(pl.col("number") > 0)
    if kept.is_empty():
        raise InputError(f"{path} knows none of the {len(vocabulary)} items: is it the file of other data?")
    missing = len(vocabulary) - kept["number"].n_unique()
    return (
        kept,
        f"{path.name}: {rows.height - kept.height} rows of unknown items left out, {missing} items without a row",
    )
