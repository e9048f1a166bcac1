"""Upload to the Hugging Face Hub, one repository at a time; unchanged repositories are skipped.

`.work/published.json` stores the content hash of each uploaded repository, so that an interrupted run resumes. The
token is read from HF_TOKEN only."""

import os
from dataclasses import dataclass
from pathlib import Path

from kitrec.core import files
from kitrec.core.errors import InputError

LEDGER = Path(".work/published.json")


@dataclass(frozen=True)
class Upload:
    """A folder to upload as a repository."""

    repository: str
    repo_type: str
    folder: Path

    @property
    def mebibytes(self) -> float:
        """Return the size of the folder."""
        return sum(path.stat().st_size for path in self.folder.iterdir()) / 2**20


def upload_if_changed(upload: Upload, *, public: bool, ledger: Path = LEDGER) -> bool:
    """Upload a folder; return False if the same content was uploaded before."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    uploaded = files.read_json(ledger) if ledger.exists() else {}
    address, content = f"{upload.repo_type}:{upload.repository}", files.sha256(upload.folder)
    if uploaded.get(address) == content:
        return False
    api = HfApi(token=_token())
    try:
        api.create_repo(upload.repository, repo_type=upload.repo_type, private=not public, exist_ok=True)
        api.upload_folder(
            repo_id=upload.repository,
            repo_type=upload.repo_type,
            folder_path=upload.folder,
            commit_message=f"kitrec, content {content[:12]}",
            delete_patterns=["*"],
        )
    except (HfHubHTTPError, OSError) as problem:
        raise InputError(f"{upload.repository} was not uploaded completely: {problem}; run again to resume") from None
    files.write_json({**uploaded, address: content}, ledger)
    return True


def _token() -> str:
    token = os.environ.get("HF_TOKEN")
    if not token:
        raise InputError("HF_TOKEN is not set: `export HF_TOKEN=...` with a token that has write access")
    return token
