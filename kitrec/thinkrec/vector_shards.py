"""Collaborative vectors of users or items, in shards keyed by id.

A shard is a .safetensors file (tensor `vectors` [n, d], metadata `ids`: a JSON list) or an .npz file (`ids` [n] as
text, `vectors` [n, d]). Several shards make one table. Shapes: n ids, d width."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from kitrec.core import files
from kitrec.core.errors import InputError

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
        if len(self._places) != len(self.ids):
            twice = next(own for own in self.ids if self.ids.count(own) > 1)
            raise InputError(f"two vectors have the id {twice}; keep one")
        if not np.isfinite(self.rows).all():
            raise InputError("a vector holds NaN or an infinite number: train the model again, or leave its row out")

    @property
    def width(self) -> int:
        """How long a vector is."""
        return int(self.rows.shape[1])

    def find(self, own: str) -> np.ndarray | None:
        """The vector of an id, if it has one."""
        place = self._places.get(own)
        return None if place is None else self.rows[place]

    def of(self, ids: Iterable[str], what: str) -> np.ndarray:
        """[n, d] vectors of ids that all must have one."""
        wanted = list(ids)
        missing = [own for own in wanted if own not in self._places]
        if missing:
            raise InputError(
                f"{len(missing)} of {len(wanted)} {what} have no vector, the first is {missing[0]}: add them to a "
                "shard, or leave them out"
            )
        return self.rows[[self._places[own] for own in wanted]]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {own: place for place, own in enumerate(self.ids)}


def read_shards(paths: Sequence[Path]) -> Vectors:
    """All shards as one table."""
    shards = [(path, *_read(path)) for path in paths]
    if not shards:
        raise InputError("no shard of vectors was named; give at least one file")
    widths = {rows.shape[-1]: path for path, _, rows in shards}
    if len(widths) > 1:
        told = ", ".join(f"{path} has width {width}" for width, path in widths.items())
        raise InputError(f"vectors of one kind must be equally wide: {told}; take them all from one model")
    rows = np.concatenate([own for _, _, own in shards]).astype(np.float32)
    return Vectors([own for _, ids, _ in shards for own in ids], rows)


def write_shard(vectors: Vectors, path: Path) -> None:
    """Write a .safetensors or an .npz shard, by the name."""
    with files.atomic(path) as draft:
        if path.suffix == ".npz":
            with draft.open("wb") as stream:
                np.savez(stream, ids=np.array(vectors.ids, dtype=np.str_), vectors=vectors.rows)
        elif path.suffix == ".safetensors":
            rows = np.ascontiguousarray(vectors.rows)
            save_file({"vectors": rows}, draft, {"ids": json.dumps(vectors.ids, ensure_ascii=False)})
        else:
            raise InputError(f"{path}: a shard's name ends in .safetensors or .npz")


def _read(path: Path) -> tuple[list[str], np.ndarray]:
    try:
        if path.suffix == ".npz":
            with np.load(path) as held:
                ids, rows = [str(own) for own in held["ids"]], held["vectors"]
        else:
            with safe_open(path, "np") as file:
                ids, rows = [str(own) for own in json.loads(file.metadata()["ids"])], file.get_tensor("vectors")
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {_WAY_OUT}") from None
    except (SafetensorError, BadZipFile, ValueError, KeyError, TypeError, OSError) as problem:
        raise InputError(f"{path} is no shard of vectors ({problem}): {_WAY_OUT}") from None
    if rows.ndim != 2 or len(ids) != len(rows):
        raise InputError(f"{path} has {len(ids)} ids and vectors of shape {rows.shape}: {_WAY_OUT}")
    return ids, rows
