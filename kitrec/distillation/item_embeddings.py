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
class Embeddings:
    item_ids: list[str]
    vectors: np.ndarray  # [items, width]


@dataclass(frozen=True)
class Table:
    """Vectors by the numbers of a vocabulary; an item the teacher does not know has zeros and is not `known`."""

    vectors: np.ndarray  # [rows, width], row i is item number i
    known: np.ndarray  # [rows]

    @property
    def missing(self) -> int:
        """Items (padding counts as one) without a vector."""
        return int((~self.known).sum())


def write_embeddings(own: Embeddings, path: Path) -> None:
    """Write item vectors that are sound."""
    check_embeddings(own, str(path))
    with files.atomic(path) as draft:
        told = {"item_ids": json.dumps(own.item_ids)}
        array_file.save_file({"vectors": np.ascontiguousarray(own.vectors, dtype=np.float32)}, draft, told)


def read_embeddings(path: Path) -> Embeddings:
    """Read item vectors that are sound."""
    try:
        with safe_open(path, "np") as file:
            own = Embeddings(json.loads(file.metadata()["item_ids"]), file.get_tensor("vectors"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: the teacher's export writes it") from None
    except (SafetensorError, KeyError, TypeError, ValueError) as problem:
        raise InputError(
            f"{path} holds no item vectors ({problem}): it needs the tensor `vectors` and `item_ids`"
        ) from None
    check_embeddings(own, str(path))
    return own


def by_number(own: Embeddings, vocabulary: Vocabulary, rows: int) -> Table:
    """For a student whose item table has so many rows (padding and mask included)."""
    check_embeddings(own, "the teacher")
    numbers = vocabulary.numbers(pl.Series(own.item_ids, dtype=pl.String))
    if not (numbers > 0).any():
        raise InputError("the teacher's vectors are of none of the student's items: it was made of other data")
    table = np.zeros((rows, own.vectors.shape[1]), dtype=np.float32)
    known = np.zeros(rows, dtype=bool)
    table[numbers[numbers > 0]], known[numbers[numbers > 0]] = own.vectors[numbers > 0], True
    return Table(table, known)


def check_embeddings(own: Embeddings, where: str) -> None:
    """Refuse what no table of vectors may be."""
    wrong = []
    if own.vectors.ndim != 2 or not own.vectors.size:
        wrong.append(f"vectors have the shape {own.vectors.shape}, must be items x width")
    elif len(own.vectors) != len(own.item_ids):
        wrong.append(f"there are {len(own.vectors)} vectors for {len(own.item_ids)} items")
    if len(set(own.item_ids)) < len(own.item_ids):
        wrong.append("an item stands there twice")
    if own.vectors.dtype.kind != "f":
        wrong.append(f"vectors are {own.vectors.dtype}, must be floating-point numbers")
    elif not np.isfinite(own.vectors).all():
        wrong.append(f"{int((~np.isfinite(own.vectors)).sum())} values are NaN or infinite")
    if wrong:
        raise InputError(f"{where} holds no sound item vectors: {'; '.join(wrong)}")
