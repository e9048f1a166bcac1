"""Item vectors of a teacher, of any width: a safetensors file with the tensor `vectors` and its item ids."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from safetensors import SafetensorError, safe_open
from safetensors import numpy as array_file

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.recommenders.data.vocabulary import Vocabulary


@dataclass(frozen=True)
class ItemEmbeddings:
    item_ids: list[str]
    vectors: np.ndarray  # [items, width]


@dataclass(frozen=True)
class EmbeddingTable:
    """Vectors by the item numbers of a vocabulary; rows without a teacher's vector are zero."""

    vectors: np.ndarray  # [rows, width], row i is item number i
    has_vector: np.ndarray  # [rows]


def write_embeddings(embeddings: ItemEmbeddings, path: Path) -> None:
    """Check and write item vectors."""
    check_embeddings(embeddings, str(path))
    with files.atomic(path) as draft:
        metadata = {"item_ids": json.dumps(embeddings.item_ids)}
        array_file.save_file({"vectors": np.ascontiguousarray(embeddings.vectors, dtype=np.float32)}, draft, metadata)


def read_embeddings(path: Path) -> ItemEmbeddings:
    """Read and check item vectors."""
    try:
        with safe_open(path, "np") as file:
            embeddings = ItemEmbeddings(json.loads(file.metadata()["item_ids"]), file.get_tensor("vectors"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: the teacher's export writes it") from None
    except (SafetensorError, KeyError, TypeError, ValueError) as problem:
        raise InputError(
            f"{path} holds no item vectors ({problem}): it needs the tensor `vectors` and `item_ids`"
        ) from None
    check_embeddings(embeddings, str(path))
    return embeddings


def embedding_table(embeddings: ItemEmbeddings, vocabulary: Vocabulary, rows: int) -> EmbeddingTable:
    """Arrange vectors for a student whose item table has this many rows (padding and mask included)."""
    check_embeddings(embeddings, "the teacher")
    numbers = vocabulary.numbers(pl.Series(embeddings.item_ids, dtype=pl.String))
    if not (numbers > 0).any():
        raise InputError("the teacher's vectors are of none of the student's items: it was made of other data")
    table = np.zeros((rows, embeddings.vectors.shape[1]), dtype=np.float32)
    has_vector = np.zeros(rows, dtype=bool)
    table[numbers[numbers > 0]], has_vector[numbers[numbers > 0]] = embeddings.vectors[numbers > 0], True
    return EmbeddingTable(table, has_vector)


def check_embeddings(embeddings: ItemEmbeddings, where: str) -> None:
    """Raise an error that lists everything wrong with a table of vectors."""
    item_ids, vectors = embeddings.item_ids, embeddings.vectors
    problems = []
    if vectors.ndim != 2 or not vectors.size:
        problems.append(f"vectors have the shape {vectors.shape}, must be items x width")
    elif len(vectors) != len(item_ids):
        problems.append(f"there are {len(vectors)} vectors for {len(item_ids)} items")
    if len(set(item_ids)) < len(item_ids):
        problems.append("an item occurs twice")
    if vectors.dtype.kind != "f":
        problems.append(f"vectors are {vectors.dtype}, must be floating-point numbers")
    elif not np.isfinite(vectors).all():
        problems.append(f"{int((~np.isfinite(vectors)).sum())} values are NaN or infinite")
    if problems:
        raise InputError(f"{where} holds no valid item vectors: {'; '.join(problems)}")
