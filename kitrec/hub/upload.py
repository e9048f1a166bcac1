"""To the Hugging Face Hub, one repository after the other: what is there already is not sent again.

`.work/published.json` remembers the hash of what each repository was given, so that a broken run goes on where it
stopped. The token comes from HF_TOKEN and from nowhere else."""

import os
from dataclasses import dataclass
from pathlib import Path

from kitrec.core import files
from kitrec.core.errors import InputError

LEDGER = Path(".work/published.json")


@dataclass(frozen=True)
class Parcel:
    """A folder that becomes a repository."""

    repository: str
    repo_type: str
    folder: Path

    @property
    def mebibytes(self) -> float:
        """Its size."""
        return sum(path.stat().st_size for path in self.folder.iterdir()) / 2**20


def send(parcel: Parcel, *, public: bool, ledger: Path = LEDGER) -> bool:
    """Upload a parcel; False if the very same was sent before."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    sent = files.read_json(ledger) if ledger.exists() else {}
    address, content = f"{parcel.repo_type}:{parcel.repository}", files.sha256(parcel.folder)
    if sent.get(address) == content:
        return False
    api = HfApi(token=_token())
    try:
        api.create_repo(parcel.repository, repo_type=parcel.repo_type, private=not public, exist_ok=True)
        api.upload_folder(
            repo_id=parcel.repository,
            repo_type=parcel.repo_type,
            folder_path=parcel.folder,
            commit_message=f"kitrec, content {content[:12]}",
            delete_patterns=["*"],
        )
    except (HfHubHTTPError, OSError) as problem:
        raise InputError(f"{parcel.repository} was not sent whole: {problem}; run again, it goes on here") from None
    files.write_json({**sent, address: content}, ledger)
    return True


def _token() -> str:
    token = os.environ.get("HF_TOKEN")
    if not token:
        raise InputError("HF_TOKEN is not set: `export HF_TOKEN=...` with a token that may write")
    return token
