"""Item metadata of user-supplied files: TSV files keyed by item, each read if it exists.

    genres.tsv, directors.tsv, writers.tsv   item, value; an item with several values has several rows
    years.tsv                                item, year of release
    titles.tsv                               item, title (text), or an embeddings file: item, then the numbers of its
                                             vector separated by spaces
The content decides which of the two kinds a titles.tsv is. Rows of items without interactions are left out and counted,
duplicate rows count once; an item without a row has no value, or a zero vector."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.recommenders.data.item_features import ItemFeatures
from kitrec.recommenders.data.sequences import Sequences, sequences_from_rows
from kitrec.recommenders.data.title_vectors import check_vectors, parse_pairs, read_vectors
from kitrec.recommenders.data.vocabulary import Vocabulary

FILES = {"genre": "genres.tsv", "director": "directors.tsv", "writer": "writers.tsv"}
TITLES, YEARS = "titles.tsv", "years.tsv"
PROBED_ROWS = 10  # of a titles file, to detect text or vectors


@dataclass(frozen=True)
class LoadedMetadata:
    features: ItemFeatures
    notices: list[str]  # what was switched off, left out or missing


def read_metadata(
    folder: Path, vocabulary: Vocabulary, requested: list[str], embeddings: Path | None = None
) -> LoadedMetadata:
    """Read the requested features; `embeddings` is the file of title vectors if it is not in the folder."""
    paths = metadata_paths(folder, requested, embeddings)
    _require_some(folder, paths, embeddings)
    values, counts, notices, titles = {}, {}, [], None
    for name, path in paths.items():
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
                notices.append(f"{path}: {several} items have several directors, whose embeddings are averaged")
    return LoadedMetadata(ItemFeatures(values, counts, titles), notices)


def metadata_paths(folder: Path, features: Iterable[str], embeddings: Path | None = None) -> dict[str, Path]:
    """Return feature -> the file it is read from."""
    return {name: (embeddings or folder / TITLES) if name == "title" else folder / FILES[name] for name in features}


def read_years(path: Path, vocabulary: Vocabulary) -> tuple[np.ndarray, str]:
    """Return each item's first release year [N + 1], NaN where unknown, and a notice of what was left out.

    A date counts by its year."""
    rows, notice = _vocabulary_rows(path, vocabulary)
    parsed = rows.with_columns(pl.col("value").str.extract(r"^\s*(\d{4})(?:\.0*|-\d\d.*)?\s*$").cast(pl.Float64))
    first = parsed.drop_nulls("value").group_by("number").agg(pl.col("value").min())
    years = np.full(len(vocabulary) + 1, np.nan)
    years[first["number"].to_numpy()] = first["value"].to_numpy()
    return years, f"{notice}, {parsed['value'].null_count()} rows without a year"


def read_pairs(path: Path) -> pl.DataFrame:
    """Read the columns item and value; duplicate rows are dropped."""
    return parse_pairs(path, path)


def holds_embeddings(path: Path) -> bool:
    """Return whether the second column holds vectors: two or more numbers in most of the first rows."""
    try:
        with path.open(encoding="utf-8") as stream:
            first = [line.rstrip("\n").partition("\t")[2].split() for line in islice(stream, 1, 1 + PROBED_ROWS)]
    except UnicodeDecodeError as problem:
        raise InputError(f"{path} is no text in UTF-8 ({problem}): convert it") from None
    return sum(len(words) > 1 and all(map(_is_number, words)) for words in first) * 2 > len(first)


def _require_some(folder: Path, paths: Mapping[str, Path], embeddings: Path | None) -> None:
    """Refuse a folder that is missing or has none of the files: the model would have no metadata."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: name the one with {', '.join(path.name for path in paths.values())}")
    if embeddings and not embeddings.is_file():
        raise InputError(f"{embeddings} is missing: `kitrec title-embeddings` writes it")
    if paths and not any(path.exists() for path in paths.values()):
        raise InputError(
            f"{folder} has no {', '.join(path.name for path in paths.values())}, so the model would have no metadata: "
            "name the folder that has, or omit the metadata"
        )


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _values(path: Path, vocabulary: Vocabulary) -> tuple[Sequences, int, str]:
    rows, notice = _vocabulary_rows(path, vocabulary)
    names = rows["value"].unique().sort()
    coded = rows.join(pl.DataFrame({"value": names, "code": np.arange(len(names))}), on="value").sort("number", "code")
    lists = sequences_from_rows(coded["number"].to_numpy(), coded["code"].to_numpy(), len(vocabulary) + 2)
    return lists, len(names), f"{notice}, {len(names)} values"


def _vectors(path: Path, vocabulary: Vocabulary) -> tuple[np.ndarray, str]:
    if not holds_embeddings(path):
        raise InputError(f"{path} holds titles, not their vectors: make them by `kitrec title-embeddings`")
    vectors, rows = read_vectors(path, vocabulary)
    kept, notice = _known_rows(path, rows, vocabulary)
    check_vectors(path, kept)
    return vectors, f"{notice}, {vectors.shape[1]} wide"


def _vocabulary_rows(path: Path, vocabulary: Vocabulary) -> tuple[pl.DataFrame, str]:
    """Return item, value, number of the rows whose item is in the vocabulary, and a notice of what was left out."""
    rows = read_pairs(path)
    return _known_rows(path, rows.with_columns(pl.Series("number", vocabulary.numbers(rows["item"]))), vocabulary)


def _known_rows(path: Path, rows: pl.DataFrame, vocabulary: Vocabulary) -> tuple[pl.DataFrame, str]:
    kept = rows.filter(pl.col("number") > 0)
    if kept.is_empty():
        raise InputError(f"{path} has none of the {len(vocabulary)} items: is it the file of other data?")
    missing = len(vocabulary) - kept["number"].n_unique()
    return (
        kept,
        f"{path.name}: {rows.height - kept.height} rows of unknown items left out, {missing} items without a row",
    )
