"""Collaborative vectors of users or items, in shards keyed by id.

A shard is a .safetensors file (tensor `vectors` [n, d], metadata `ids`: a JSON list) or an .npz file (`ids` [n] as
text or numbers, `vectors` [n, d]; or one array [d] for each id, named by it). Several shards make one table.
Shapes: n ids, d width."""

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard
from zipfile import BadZipFile

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from kitrec.core import files
from kitrec.core.errors import InputError

INLINE = "base64:"
ENDINGS = (".npz", ".safetensors")
_WAY_OUT = "write it by kitrec.thinkrec.vector_shards.write_shard"


@dataclass(frozen=True)
class Vectors:
    """A table of vectors by id."""

    ids: list[str]
    rows: np.ndarray  # [n, d] float32

    def __post_init__(self) -> None:
        if self.rows.ndim != 2 or len(self.ids) != len(self.rows):
            raise InputError(
                f"{len(self.ids)} ids do not fit vectors of shape {self.rows.shape}; one row each is needed"
            )
        if len(self._row_of) != len(self.ids):
            twice = next(key for key in self.ids if self.ids.count(key) > 1)
            raise InputError(f"two vectors have the id {twice}; keep one")
        if not np.isfinite(self.rows).all():
            raise InputError("a vector holds NaN or an infinite number: train the model again, or leave its row out")

    @property
    def width(self) -> int:
        """Length d of a vector."""
        return int(self.rows.shape[1])

    def find(self, key: str) -> np.ndarray | None:
        """Return the vector of an id, if it has one."""
        row = self._row_of.get(key)
        return None if row is None else self.rows[row]

    def require(self, ids: Iterable[str], what: str) -> np.ndarray:
        """Return the vectors [n, d] of ids that all must have one; `what` names them in the error message."""
        required = list(ids)
        missing = [key for key in required if key not in self._row_of]
        if missing:
            raise InputError(
                f"{len(missing)} of {len(required)} {what} have no vector, the first is {missing[0]}: add them to a "
                "shard, or leave them out"
            )
        return self.rows[[self._row_of[key] for key in required]]

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {key: row for row, key in enumerate(self.ids)}


def read_shards(paths: Sequence[Path]) -> Vectors:
    """Read all shards as one table."""
    shards = [(path, *_read(path)) for path in paths]
    if not shards:
        raise InputError("no shard of vectors was named; give at least one file")
    widths = {rows.shape[-1]: path for path, _, rows in shards}
    if len(widths) > 1:
        listed = ", ".join(f"{path} has width {width}" for width, path in widths.items())
        raise InputError(f"vectors of one kind must be equally wide: {listed}; take them all from one model")
    rows = np.concatenate([rows for _, _, rows in shards]).astype(np.float32)
    return Vectors([key for _, ids, _ in shards for key in ids], rows)


def write_shard(vectors: Vectors, path: Path) -> None:
    """Write a .safetensors or an .npz shard, depending on the file name."""
    with files.atomic(path) as draft:
        if path.suffix == ".npz":
            with draft.open("wb") as stream:
                np.savez(stream, ids=np.array(vectors.ids, dtype=np.str_), vectors=vectors.rows)
        elif path.suffix == ".safetensors":
            rows = np.ascontiguousarray(vectors.rows)
            save_file({"vectors": rows}, draft, {"ids": json.dumps(vectors.ids, ensure_ascii=False)})
        else:
            raise InputError(f"{path}: a shard's name ends in .safetensors or .npz")


def encode_vector(vector: np.ndarray) -> str:
    """Return a vector as inline text of a record."""
    return INLINE + base64.b64encode(vector.astype("<f4").tobytes()).decode()


def is_shard(reference: str | Sequence[float]) -> TypeGuard[str]:
    """Return whether a reference names a shard; other texts are base64."""
    return isinstance(reference, str) and reference.endswith(ENDINGS)


def decode_vector(path: Path, key: str, inline: str | Sequence[float]) -> np.ndarray:
    """Return the vector of an inline text or list; `path` and `key` name it in error messages."""
    try:
        if isinstance(inline, str):
            raw = base64.b64decode(inline.removeprefix(INLINE), validate=True)
            vector = np.frombuffer(raw, dtype="<f4").astype(np.float32)
        else:
            vector = np.array(inline, dtype=np.float32)
    except (binascii.Error, ValueError) as problem:
        raise InputError(
            f"{path}: the vector of {key} is no base64 of float32 ({problem}); a shard's name ends in "
            f"{' or '.join(ENDINGS)}"
        ) from None
    if not len(vector):
        raise InputError(f"{path}: the vector of {key} is empty")
    return vector


def _npz_table(arrays: Any) -> tuple[list[str], np.ndarray]:
    """Return ids and vectors of an .npz file in either form."""
    if {"ids", "vectors"} <= set(arrays.files):
        return [str(key) for key in arrays["ids"]], arrays["vectors"]
    return list(arrays.files), np.stack([arrays[key] for key in arrays.files])


def _read(path: Path) -> tuple[list[str], np.ndarray]:
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                ids, rows = _npz_table(arrays)
        else:
            with safe_open(path, "np") as file:
                ids, rows = [str(key) for key in json.loads(file.metadata()["ids"])], file.get_tensor("vectors")
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {_WAY_OUT}") from None
    except (SafetensorError, BadZipFile, ValueError, KeyError, TypeError, OSError) as problem:
        raise InputError(f"{path} is no shard of vectors ({problem}): {_WAY_OUT}") from None
    if rows.ndim != 2 or len(ids) != len(rows):
        raise InputError(f"{path} has {len(ids)} ids and vectors of shape {rows.shape}: {_WAY_OUT}")
    return ids, rows
