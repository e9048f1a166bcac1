"""Reading and writing DLLM2Rec's text files (Cui et al., RecSys 2024).

    myrank_train.txt       rows x N item numbers, best first       confidence_train.txt   rows x N distances
    all_embeddings.pt      items x width, row = item number (or .npy, or .safetensors with the one tensor `vectors`)
These files carry no ids. Two further files identify their lines and numbers; dllm2rec_tables.py makes missing ones:
    rows_train.tsv         user_id, target, prefix_length, next_id of each line, in order (next_id may be empty)
    items.tsv              number, item_id
Of a .pt file only tensors are read (`weights_only`), so that it cannot run code."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from safetensors import SafetensorError
from safetensors import numpy as array_file

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.distillation.item_embeddings import ItemEmbeddings, check_embeddings

RANKS, DISTANCES, VECTORS = "myrank_train.txt", "confidence_train.txt", "all_embeddings"
ROWS, ITEMS = "rows_train.tsv", "items.tsv"


@dataclass(frozen=True)
class MadeTables:
    """What the lines and numbers of a folder mean, where it does not say so itself."""

    rows: pl.DataFrame  # user_id, target, prefix_length, next_id
    items: pl.DataFrame  # number, item_id


def missing_tables(folder: Path) -> list[str]:
    """Return which of the two describing files a folder lacks."""
    return [name for name in (ROWS, ITEMS) if not (folder / name).exists()]


def read_lists(folder: Path, made: MadeTables | None = None) -> pl.DataFrame:
    """Return the lists of a folder as a TEACHER_LISTS table; the caller's `tables.write` checks the rest."""
    ranks, distances = _read_numbers(folder / RANKS), _read_numbers(folder / DISTANCES)
    if made is not None and not (folder / ROWS).exists():
        rows = made.rows
    else:
        rows = _read_tsv(folder / ROWS, ["user_id", "target", "prefix_length", "next_id"])
    if ranks.shape != distances.shape:
        raise InputError(f"{folder}: {RANKS} is {ranks.shape}, {DISTANCES} is {distances.shape}; they must be equal")
    if len(ranks) != rows.height:
        raise InputError(
            f"{folder}: {RANKS} has {len(ranks)} lines, {ROWS} has {rows.height}: the lines cannot be matched"
        )
    if (ranks != np.round(ranks)).any():
        raise InputError(f"{folder / RANKS}: {int((ranks != np.round(ranks)).sum())} values are not item numbers")
    ids = _item_ids(ranks.astype(np.int64), folder, made)
    return rows.with_columns(
        pl.col("target").fill_null(""),
        pl.col("prefix_length").cast(pl.Int32, strict=False),
        pl.Series("item_ids", ids.tolist(), dtype=pl.List(pl.String)),
        pl.Series("distances", distances.tolist(), dtype=pl.List(pl.Float64)),
    )


def has_vectors(folder: Path) -> bool:
    """Return whether a folder holds item vectors, in any of their forms."""
    return any(folder.glob(f"{VECTORS}.*"))


def read_vectors(folder: Path, made: MadeTables | None = None) -> ItemEmbeddings:
    """Return the item vectors of a folder."""
    items, vectors = _read_items(folder, made), _load_vectors(folder)
    numbers = items["number"].to_numpy()
    if numbers.min(initial=0) < 0 or numbers.max(initial=-1) >= len(vectors) or len(items) != len(vectors):
        raise InputError(f"{folder}: {len(vectors)} vectors, but {ITEMS} has {len(items)} items; each needs its own")
    embeddings = ItemEmbeddings(items["item_id"].to_list(), vectors[numbers])
    check_embeddings(embeddings, str(folder))
    return embeddings


def write_text(lists: pl.DataFrame, embeddings: ItemEmbeddings | None, folder: Path) -> None:
    """Write lists (and vectors) as a folder of text files; item numbers follow the order of the ids."""
    lengths = lists["item_ids"].list.len().unique().sort().to_list()
    if len(lengths) != 1:
        raise InputError(f"{folder}: the text form needs lists of one length, these have {lengths}")
    ids = sorted(set(lists["item_ids"].explode()) | set([] if embeddings is None else embeddings.item_ids))
    if embeddings is not None and len(embeddings.item_ids) != len(ids):
        raise InputError(
            f"{folder}: {len(ids) - len(embeddings.item_ids)} listed items have no vector; the text form needs one"
        )
    numbers = pl.DataFrame({"number": np.arange(len(ids)), "item_id": ids})
    number_of = dict(zip(ids, range(len(ids)), strict=True))
    with files.atomic(folder) as draft:
        draft.mkdir()
        numbers.write_csv(draft / ITEMS, separator="\t")
        lists.select("user_id", "target", "prefix_length", "next_id").write_csv(draft / ROWS, separator="\t")
        ranks = np.array([[number_of[item] for item in row] for row in lists["item_ids"].to_list()])
        np.savetxt(draft / RANKS, ranks, fmt="%d")
        np.savetxt(draft / DISTANCES, np.array(lists["distances"].to_list()), fmt="%.9g")
        if embeddings is not None:
            order = np.argsort(np.array(embeddings.item_ids))
            vectors = embeddings.vectors[order].astype(np.float32)
            array_file.save_file({"vectors": vectors}, draft / f"{VECTORS}.safetensors")


def _read_numbers(path: Path) -> np.ndarray:
    try:
        numbers = np.loadtxt(path, ndmin=2)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: a DLLM2Rec teacher has {RANKS} and {DISTANCES}") from None
    except ValueError as problem:
        raise InputError(f"{path} is not a table of numbers, rows x N ({problem})") from None
    if not np.isfinite(numbers).all():
        line = int(np.flatnonzero(~np.isfinite(numbers).all(1))[0]) + 1
        raise InputError(
            f"{path}: {int((~np.isfinite(numbers)).sum())} values are NaN or infinite, the first in line {line}"
        )
    return numbers


def _read_tsv(path: Path, columns: list[str]) -> pl.DataFrame:
    try:
        table = pl.read_csv(path, separator="\t", infer_schema=False)
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing: it identifies the lines; provide a TSV with {', '.join(columns)}"
        ) from None
    except pl.exceptions.PolarsError as problem:
        raise InputError(f"{path} is not a table ({problem}): provide a TSV with {', '.join(columns)}") from None
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise InputError(f"{path} lacks the column {', '.join(missing)}; it has {', '.join(table.columns)}")
    return table.select(columns)


def _read_items(folder: Path, made: MadeTables | None) -> pl.DataFrame:
    """Return number and item_id, each number once."""
    if made is not None and not (folder / ITEMS).exists():
        return made.items
    items = _read_tsv(folder / ITEMS, ["number", "item_id"]).with_columns(pl.col("number").cast(pl.Int64, strict=False))
    if items["number"].null_count() or items["item_id"].null_count():
        raise InputError(f"{folder / ITEMS}: a line has no integer number, or no item")
    if items["number"].is_duplicated().any():
        raise InputError(f"{folder / ITEMS}: a number occurs twice")
    return items


def _item_ids(numbers: np.ndarray, folder: Path, made: MadeTables | None) -> np.ndarray:
    """Return [rows, N] item ids."""
    items = _read_items(folder, made)
    flat = pl.DataFrame({"number": numbers.ravel()})
    item_ids = flat.join(items, on="number", how="left", maintain_order="left")["item_id"]
    if item_ids.null_count():
        first = flat["number"].filter(item_ids.is_null())[0]
        raise InputError(
            f"{folder / RANKS}: {item_ids.null_count()} item numbers are not in {ITEMS}, the first is {first}: "
            f"the lists belong to other items"
        )
    return item_ids.to_numpy().reshape(numbers.shape)


def _load_vectors(folder: Path) -> np.ndarray:
    array, tensors, published = (folder / f"{VECTORS}.{ending}" for ending in ("npy", "safetensors", "pt"))
    try:
        if tensors.exists():
            return array_file.load_file(tensors)["vectors"]
        if array.exists() or not published.exists():
            return np.load(array)  # arrays of Python objects are refused
        return _read_tensor(published)
    except FileNotFoundError:
        raise InputError(f"{folder} has no {published.name}, {array.name} or {tensors.name}") from None
    except (SafetensorError, KeyError, ValueError) as problem:
        raise InputError(
            f"{folder} has no readable {VECTORS} ({problem}): save the tensor as {array.name} where it was made"
        ) from None


def _read_tensor(path: Path) -> np.ndarray:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:  # torch raises whatever a damaged file makes it stumble over
        first = next(iter(str(problem).splitlines()), type(problem).__name__)
        raise ValueError(f"{path.name} holds more than tensors, or is damaged: {first}") from None
    return _only_tensor(content)


def _only_tensor(content: object) -> np.ndarray:
    """Return the tensor that a .pt file holds, by itself or as the one value of a dictionary."""
    values = list(content.values()) if isinstance(content, dict) else [content]
    if len(values) != 1 or not isinstance(values[0], torch.Tensor):
        raise ValueError(f"it holds {type(content).__name__}, not one tensor")
    return np.asarray(values[0].float().numpy())
