"""Fetching a base from the hub once, before processes start that would each fetch it: engines, training processes."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.llm.base.pinning import PinnedBase

INDEX, WEIGHTS = "model.safetensors.index.json", "model.safetensors"
KINDS = ["*.json", "*.safetensors", "*.txt", "*.jinja", "*.model"]  # no code, no weights in other formats


def fetch(base: PinnedBase) -> None:
    """Make sure that the base is whole on this machine; whoever loads it then needs no network."""
    if base.revision is None or is_cached(base):
        return
    try:
        snapshot_download(base.path, revision=base.revision, allow_patterns=KINDS)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as problem:
        if files.is_full_disk_error(problem):
            raise
        raise InputError(
            f"{base.path}@{base.revision} could not be fetched from the hub ({str(problem).splitlines()[0]}): check "
            "the network, HF_TOKEN, and that HF_HUB_OFFLINE is not set; what was fetched so far is kept"
        ) from None
    if not is_cached(base):
        raise InputError(f"{base.path}@{base.revision} holds no safetensors weights with their tokenizer.json")


def is_cached(base: PinnedBase) -> bool:
    """Whether configuration and all weights of the pinned revision are in the hub's cache."""
    try:
        folder = Path(snapshot_download(base.path, revision=base.revision, allow_patterns=KINDS, local_files_only=True))
    except LocalEntryNotFoundError:
        return False
    index = folder / INDEX
    weights = set(files.read_json(index)["weight_map"].values()) if index.is_file() else {WEIGHTS}
    return all((folder / name).is_file() for name in ["config.json", "tokenizer.json", *weights])
