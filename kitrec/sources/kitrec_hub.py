"""KitREC's twelve data sets on the Hugging Face Hub, each at a pinned commit, stored in the hub's cache.

The files are read by `kitrec_jsonl`, not by `datasets`: one column holds objects in some rows and text in others,
which no arrow schema allows. With HF_HUB_OFFLINE=1 only the cache is used. The token is taken from HF_TOKEN."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kitrec.core.domains import KITREC, SETS, Domains
from kitrec.core.errors import InputError

PATTERNS = ("*.jsonl", "*.parquet")
Names = dict[str, tuple[str, str]]


def dataset_names(domains: Domains = KITREC) -> Names:
    """Return hub name -> (candidate set, file group), as the authors spell it."""
    names = {f"kitrec-{m.replace('-', '_')}-set{w.lower()}": (w, "training") for w in SETS for m in domains.models}
    names |= {f"kitrec-val-set{w.lower()}": (w, "preference") for w in SETS}
    return names | {f"kitrec-test-set{w.lower()}": (w, "test") for w in SETS}


def spellings(name: str) -> tuple[str, ...]:
    """Return both spellings of a name: older documents have hyphens in place of underscores."""
    return tuple(dict.fromkeys((name, name.replace("_", "-"))))


def fetch(owner: str, revisions: Mapping[str, str]) -> dict[tuple[str, str], list[Path]]:
    """Download all twelve data sets at their pinned commits: (candidate set, file group) -> files."""
    unpinned = [name for name in dataset_names() if not {*spellings(name)} & {*revisions}]
    if unpinned:
        raise InputError(
            f"source.hub.revisions lacks {', '.join(unpinned)}: `kitrec doctor --pin` writes their commits"
        )
    files: dict[tuple[str, str], list[Path]] = {}
    for name, key in dataset_names().items():
        pinned = next(spelling for spelling in spellings(name) if spelling in revisions)
        files.setdefault(key, []).extend(_files(f"{owner}/{pinned}", revisions[pinned]))
    return files


def latest_commits(owner: str) -> dict[str, str]:
    """Return the newest commit of every data set, by its name on the hub."""
    return dict(_commit(owner, name) for name in dataset_names())


def token() -> str | bool:
    """Return HF_TOKEN, or False: a login stored on disk is never used."""
    return os.environ.get("HF_TOKEN") or False


def _files(repository: str, revision: str) -> list[Path]:
    from huggingface_hub import snapshot_download

    with clear_errors(repository):
        folder = snapshot_download(
            repository, repo_type="dataset", revision=revision, allow_patterns=list(PATTERNS), token=token()
        )
    paths = sorted(path for pattern in PATTERNS for path in Path(folder).rglob(pattern))
    if not paths:
        raise InputError(f"{repository} at {revision} holds no {' or '.join(PATTERNS)} file")
    return paths


def _commit(owner: str, name: str) -> tuple[str, str]:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    for spelling in spellings(name):
        with clear_errors(f"{owner}/{name}"):
            try:
                return spelling, str(HfApi(token=token()).dataset_info(f"{owner}/{spelling}").sha)
            except RepositoryNotFoundError:
                continue
    raise InputError(f"the hub knows no data set {owner}/{name} (nor its other spelling): private? then set HF_TOKEN")


@contextmanager
def clear_errors(repository: str, setting: str = "source.hub") -> Iterator[None]:
    """Re-raise errors of the hub's client as one sentence with a way out; `setting` is where the name stands."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        yield
    except RepositoryNotFoundError:
        raise InputError(f"the hub has no {repository}, or it is private: check {setting}, or set HF_TOKEN") from None
    except LocalEntryNotFoundError:
        raise InputError(f"{repository} is not in the cache and the hub cannot be reached: connect once") from None
    except (HfHubHTTPError, OSError) as problem:
        raise InputError(f"the hub did not give {repository}: {problem}") from None
