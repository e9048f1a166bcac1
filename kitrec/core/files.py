"""Files that are either whole or absent: written beside their place, moved into it when complete."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from kitrec.core.errors import InputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` to write a file or folder to; it takes `target`'s place only if nothing failed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.draft")
    _remove(draft)
    try:
        yield draft
        if draft.is_dir():
            _remove(target)
        draft.replace(target)
    except Exception as problem:  # a full disk is an error of another class in every library
        if means_full_disk(problem):
            raise InputError(_full(target)) from problem
        raise
    finally:
        _remove(draft)


def write_json(value: Any, path: Path) -> None:
    """Strict JSON (no NaN, no Infinity), two-space indent, keys in the order given."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    with whole(path) as draft:
        draft.write_text(text + "\n", encoding="utf-8")


def append_json(value: Any, stream: TextIO) -> None:
    """One line of strict JSON, handed to the system before the next begins."""
    stream.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
    stream.flush()


def read_json(path: Path) -> Any:
    """The value in a JSON file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: `dvc repro` writes it, or `dvc pull` fetches it") from None
    except ValueError as problem:
        raise InputError(f"{path} is damaged ({problem}): remove it and run `dvc repro`") from None


def means_full_disk(problem: BaseException) -> bool:
    """Whether an error says, in its library's words, that the disk (or the quota) is full."""
    if isinstance(problem, OSError) and problem.errno in _FULL:
        return True
    return any(f"os error {number}" in str(problem) or os.strerror(number) in str(problem) for number in _FULL)


def sha256(path: Path) -> str:
    """Content hash of a file, or of a folder by the sorted names and hashes of its files."""
    if path.is_dir():
        parts = [f"{p.relative_to(path)}\0{sha256(p)}" for p in sorted(path.rglob("*")) if p.is_file()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _full(target: Path) -> str:
    free = shutil.disk_usage(target.parent).free / 2**20
    return f"no space left while writing {target} ({free:.0f} MiB free there): free some, nothing half-written was kept"
