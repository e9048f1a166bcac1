"""DLLM2Rec's text files, read and written (Cui et al., RecSys 2024).

    myrank_train.txt       rows x N item numbers, best first       confidence_train.txt   rows x N distances
    all_embeddings.npy     items x width, row = item number (or .safetensors with the one tensor `vectors`)
These have no names. Two files say what their lines are, and nothing is read without them:
    rows_train.tsv         user_id, target, seen, next_id of each line, in their order (next_id may be empty)
    items.tsv              number, item_id
The published all_embeddings.pt can run code when it is opened, so it never is: whoever made it saves a .npy."""

from pathlib import Path

import numpy as np
import polars as pl
from safetensors import SafetensorError
from safetensors import numpy as array_file

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.distillation.item_embeddings import Embeddings, check_embeddings

RANKS, DISTANCES, VECTORS = "myrank_train.txt", "confidence_train.txt", "all_embeddings"
ROWS, ITEMS = "rows_train.tsv", "items.tsv"


def read_lists(folder: Path) -> pl.DataFrame:
    """The lists of a folder as a teacher's table; the caller's `tables.write` checks the rest."""
    ranks, distances = _numbers(folder / RANKS), _numbers(folder / DISTANCES)
    rows = _named(folder / ROWS, ["user_id", "target", "seen", "next_id"])
    if ranks.shape != distances.shape:
        raise InputError(f"{folder}: {RANKS} is {ranks.shape}, {DISTANCES} is {distances.shape}; they must be alike")
    if len(ranks) != rows.height:
        raise InputError(f"{folder}: {RANKS} has {len(ranks)} lines, {ROWS} names {rows.height}: no line can be placed")
    if (ranks != np.round(ranks)).any():
        raise InputError(f"{folder / RANKS}: {int((ranks != np.round(ranks)).sum())} values are no item numbers")
    ids = _ids(ranks.astype(np.int64), folder)
    return rows.with_columns(
        pl.col("target").fill_null(""),
        pl.col("seen").cast(pl.Int32, strict=False),
        pl.Series("item_ids", ids.tolist(), dtype=pl.List(pl.String)),
        pl.Series("distances", distances.tolist(), dtype=pl.List(pl.Float64)),
    )


def vectors_in(folder: Path) -> bool:
    """Whether a folder holds item vectors, in any of their forms."""
    return any(folder.glob(f"{VECTORS}.*"))


def read_vectors(folder: Path) -> Embeddings:
    """The item vectors of a folder."""
    items, vectors = _items(folder), _vectors(folder)
    numbers = items["number"].to_numpy()
    if numbers.min(initial=0) < 0 or numbers.max(initial=-1) >= len(vectors) or len(items) != len(vectors):
        raise InputError(f"{folder}: {len(vectors)} vectors, but {ITEMS} has {len(items)} items; each needs its own")
    found = Embeddings(items["item_id"].to_list(), vectors[numbers])
    check_embeddings(found, str(folder))
    return found


def write_text(lists: pl.DataFrame, own: Embeddings | None, folder: Path) -> None:
    """A teacher's table (and vectors) as a folder of text files; item numbers follow the order of the ids."""
    lengths = lists["item_ids"].list.len().unique().sort().to_list()
    if len(lengths) != 1:
        raise InputError(f"{folder}: the text form needs lists of one length, these have {lengths}")
    ids = sorted(set(lists["item_ids"].explode()) | set([] if own is None else own.item_ids))
    if own is not None and len(own.item_ids) != len(ids):
        raise InputError(
            f"{folder}: {len(ids) - len(own.item_ids)} listed items have no vector; the text form needs one"
        )
    numbers = pl.DataFrame({"number": np.arange(len(ids)), "item_id": ids})
    place = dict(zip(ids, range(len(ids)), strict=True))
    with files.atomic(folder) as draft:
        draft.mkdir()
        numbers.write_csv(draft / ITEMS, separator="\t")
        lists.select("user_id", "target", "seen", "next_id").write_csv(draft / ROWS, separator="\t")
        ranks = np.array([[place[item] for item in own] for own in lists["item_ids"].to_list()])
        np.savetxt(draft / RANKS, ranks, fmt="%d")
        np.savetxt(draft / DISTANCES, np.array(lists["distances"].to_list()), fmt="%.9g")
        if own is not None:
            order = np.argsort(np.array(own.item_ids))
            array_file.save_file({"vectors": own.vectors[order].astype(np.float32)}, draft / f"{VECTORS}.safetensors")


def _numbers(path: Path) -> np.ndarray:
    try:
        found = np.loadtxt(path, ndmin=2)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: a DLLM2Rec teacher has {RANKS} and {DISTANCES}") from None
    except ValueError as problem:
        raise InputError(f"{path} is no table of numbers, rows x N ({problem})") from None
    if not np.isfinite(found).all():
        line = int(np.flatnonzero(~np.isfinite(found).all(1))[0]) + 1
        raise InputError(
            f"{path}: {int((~np.isfinite(found)).sum())} values are NaN or infinite, the first in line {line}"
        )
    return found


def _named(path: Path, columns: list[str]) -> pl.DataFrame:
    try:
        table = pl.read_csv(path, separator="\t", infer_schema=False)
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing: without it the lines have no names; give a TSV with {', '.join(columns)}"
        ) from None
    except pl.exceptions.PolarsError as problem:
        raise InputError(f"{path} is no table ({problem}): give a TSV with {', '.join(columns)}") from None
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise InputError(f"{path} lacks the column {', '.join(missing)}; it has {', '.join(table.columns)}")
    return table.select(columns)


def _items(folder: Path) -> pl.DataFrame:
    """number and item_id, each number once."""
    items = _named(folder / ITEMS, ["number", "item_id"]).with_columns(pl.col("number").cast(pl.Int64, strict=False))
    if items["number"].null_count() or items["item_id"].null_count():
        raise InputError(f"{folder / ITEMS}: a line has no whole number, or no item")
    if items["number"].is_duplicated().any():
        raise InputError(f"{folder / ITEMS}: a number stands there twice")
    return items


def _ids(numbers: np.ndarray, folder: Path) -> np.ndarray:
    """[rows, N] item ids."""
    items = _items(folder)
    asked = pl.DataFrame({"number": numbers.ravel()})
    found = asked.join(items, on="number", how="left", maintain_order="left")["item_id"]
    if found.null_count():
        first = asked["number"].filter(found.is_null())[0]
        raise InputError(
            f"{folder / RANKS}: {found.null_count()} item numbers are not in {ITEMS}, the first is {first}: "
            f"the lists belong to other items"
        )
    return found.to_numpy().reshape(numbers.shape)


def _vectors(folder: Path) -> np.ndarray:
    array, tensors = folder / f"{VECTORS}.npy", folder / f"{VECTORS}.safetensors"
    try:
        if tensors.exists():
            return array_file.load_file(tensors)["vectors"]
        return np.load(array)  # arrays of objects are refused
    except FileNotFoundError:
        raise InputError(
            f"{folder} has no {array.name} or {tensors.name}; a .pt file can run code and is not opened: "
            f"save the tensor as {array.name} where it was made"
        ) from None
    except (SafetensorError, KeyError, ValueError) as problem:
        raise InputError(f"{folder} has no readable {VECTORS} ({problem})") from None
