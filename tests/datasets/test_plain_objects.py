"""A serialised object that names anything is refused before anything happens."""

import collections
import datetime
import os
import pickle
import struct
from pathlib import Path

import pytest

from kitrec.core.errors import InputError
from kitrec.datasets.plain_objects import read_mapping


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_mappings_of_every_protocol_are_read(tmp_path, protocol):
    for value, of in (({"a": 1, "ö": 12_875}, int), ({"B00": 'The "Best"', "x": ""}, str)):
        path = tmp_path / "a.pkl"
        path.write_bytes(pickle.dumps(value, protocol=protocol))
        assert read_mapping(path, of) == value


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "value",
    [
        {"a": datetime.date(2020, 1, 1)},
        collections.OrderedDict(a=1),
        collections.defaultdict(int, a=1),
        {"a": os.system},
        {"a": 1, "b": Path("x")},
    ],
    ids=str,
)
def test_every_class_and_function_is_refused(tmp_path, protocol, value):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    with pytest.raises(InputError, match=r"it names \w+.*nothing of it was run"):
        read_mapping(path, int)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_run(tmp_path, protocol):
    made = tmp_path / "made"
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"a": Evil(made)}, protocol=protocol))
    with pytest.raises(InputError, match="nothing of it was run"):
        read_mapping(path, str)
    assert not made.exists()


@pytest.mark.parametrize(
    "code",
    [
        b"cos\nsystem\n(S'true'\ntR.",  # GLOBAL and REDUCE
        b"(S'true'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'true'\no.",  # OBJ
        b"\x8c\x02os\x8c\x06system\x93.",  # STACK_GLOBAL
        b"Pabc\n.",  # PERSID
        b"\x82\x01.",  # EXT1
        b"S'a'\n(tR.",  # a string that is called
        b"S'a'\n)\x81.",  # a string as a class
        b"}S'__class__'\nS'x'\nsb.",  # BUILD
        b"",
        b"\x80\x05\x95" + struct.pack("<Q", 2**60) + b".",  # a frame of an exabyte
        b"}r\xff\xff\xff\x7f.",  # a memo entry far out: in C, gigabytes of memory
        b"\x8e" + struct.pack("<Q", 2**60) + b"x.",  # bytes of an exabyte
    ],
)
def test_handwritten_code_is_refused(tmp_path, code):
    path = tmp_path / "a.pkl"
    path.write_bytes(code)
    if code.startswith(b"}r"):
        assert read_mapping(path, str) == {}
        return
    with pytest.raises(InputError, match=r"damaged or no plain data|holds no dict"):
        read_mapping(path, str)
