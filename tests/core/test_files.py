import errno
import json

import pytest

from kitrec.core import files
from kitrec.core.errors import InputError


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), files.atomic(target) as draft:
        draft.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_is_replaced_atomically(tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    (target / "old_member").touch()
    with files.atomic(target) as draft:
        draft.mkdir()
        (draft / "new_member").touch()
    assert [p.name for p in target.iterdir()] == ["new_member"]


def test_a_full_disk_is_one_clear_message_and_leaves_no_partial_file(tmp_path):
    target = tmp_path / "out.parquet"
    with pytest.raises(InputError, match=r"no space left while writing .*out.parquet"), files.atomic(target) as draft:
        draft.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_json_is_strict(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json({"x": float("nan")}, tmp_path / "a.json")
    files.write_json({"ж": [1.5, None]}, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == {"ж": [1.5, None]}


def test_damaged_and_missing_json_files_are_reported(tmp_path):
    (tmp_path / "a.json").write_text('{"x": ')
    with pytest.raises(InputError, match="damaged"):
        files.read_json(tmp_path / "a.json")
    with pytest.raises(InputError, match="is missing"):
        files.read_json(tmp_path / "b.json")


def test_the_hash_of_a_folder_changes_with_names_and_contents(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a").write_text("1")
    first = files.sha256(tmp_path / "m")
    (tmp_path / "m" / "a").rename(tmp_path / "m" / "b")
    renamed = files.sha256(tmp_path / "m")
    (tmp_path / "m" / "b").write_text("2")
    assert len({first, renamed, files.sha256(tmp_path / "m")}) == 3
