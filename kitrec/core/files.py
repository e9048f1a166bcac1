"""Atomic writing of files and folders: written to a draft beside the target and renamed once complete."""

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

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic(target: Path) -> Iterator[Path]:
    """Yield a draft path for a file or folder; it replaces `target` only if the block raises nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.draft")
    _remove(draft)
    try:
        yield draft
        if draft.is_dir():
            _remove(target)
        draft.replace(target)
    except Exception as problem:  # a full disk is an error of another class in every library
        if is_full_disk_error(problem):
            raise InputError(_full_disk_message(target)) from problem
        raise
    finally:
        _remove(draft)


def write_json(value: Any, path: Path) -> None:
    """Write strict JSON (no NaN, no Infinity), indented by two spaces, keys in insertion order."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic(path) as draft:
        draft.write_text(text + "\n", encoding="utf-8")


def append_json(value: Any, stream: TextIO) -> None:
    """Append one line of strict JSON and flush it."""
    stream.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
    stream.flush()


def read_json(path: Path) -> Any:
    """Return the value of a JSON file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: `dvc repro` writes it, or `dvc pull` fetches it") from None
    except ValueError as problem:
        raise InputError(f"{path} is damaged ({problem}): remove it and run `dvc repro`") from None


def is_full_disk_error(problem: BaseException) -> bool:
    """Return whether an error of any library reports a full disk or an exhausted quota."""
    if isinstance(problem, OSError) and problem.errno in _FULL_DISK:
        return True
    return any(f"os error {number}" in str(problem) or os.strerror(number) in str(problem) for number in _FULL_DISK)


def sha256(path: Path) -> str:
    """Return the content hash of a file, or of a folder by the sorted names and hashes of its files."""
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


def _full_disk_message(target: Path) -> str:
    free = shutil.disk_usage(target.parent).free / 2**20
    return f"no space left while writing {target} ({free:.0f} MiB free there): free some, nothing half-written was kept"
