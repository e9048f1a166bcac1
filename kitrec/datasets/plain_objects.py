"""Reader of Python's serialised objects (`.pkl`) that hold nothing but strings, numbers and containers of them.

The only place of kitrec that reads this format, which can run code by naming a class or function. Here every name is
refused (`find_class`), and so are persistent ids and extension codes, which lead to names; what is left can only build
strings, numbers, None, lists, tuples, sets and dicts. The interpreter is Python's own in Python (`_Unpickler`): the one
in C reserves as much memory as a file claims that it needs."""

import pickle
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from kitrec.core.errors import InputError

MOST_BYTES = 64 * 2**20
V = TypeVar("V", str, int)


class _PlainUnpickler(pickle._Unpickler):
    """Interpreter without names."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it names {module}.{name}, and nothing may be named")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError(f"it refers to something outside, {str(pid)[:40]!r}")

    def get_extension(self, code: int) -> NoReturn:  # the interpreter has a cache of extensions that others fill
        raise pickle.UnpicklingError(f"it uses the extension code {code}")


def read_mapping(path: Path, of: type[V]) -> dict[str, V]:
    """Return a dict from strings to strings or to integers; anything else is refused."""
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path} is larger than {MOST_BYTES >> 20} MiB: that is not the expected file")
    try:
        with path.open("rb") as stream:
            value = _PlainUnpickler(stream).load()
    except Exception as problem:  # a malicious or cut file may raise anything
        raise InputError(f"{path} is damaged or no plain data ({problem}); nothing of it was run") from None
    if type(value) is not dict:
        raise InputError(f"{path} holds no dict but {type(value).__name__}: that is not the expected file")
    for key, entry in value.items():
        if type(key) is not str or type(entry) is not of:
            raise InputError(f"{path}: {str(key)[:40]!r} leads to {type(entry).__name__}, not to {of.__name__}")
    return value
