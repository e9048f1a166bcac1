"""Adapters of others, from the hub at a pinned commit or from a folder, into models/<variant>/<model>.

Only weights (safetensors), their configuration and the tokenizer are copied; nothing of a repository is run.
"""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kitrec.core import files
from kitrec.core.domains import KITREC, Domains
from kitrec.core.errors import InputError
from kitrec.hub import selection
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.finetuning.foreign_adapters import CONFIG, WEIGHTS, check_foreign, require_safetensors
from kitrec.llm.finetuning.origins import ORIGIN, foreign_origin
from kitrec.llm.generation.params import FOLDER, TRAINED
from kitrec.sources.kitrec_hub import clear_errors, token

TOKENIZER = "tokenizer.json"
COPIED = (WEIGHTS, CONFIG, TOKENIZER)
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Source:
    """A folder with an adapter, where it comes from, and the commit of a repository."""

    name: str
    commit: str | None
    folder: Path


@dataclass(frozen=True)
class Pulled:
    """An adapter in its place: its origin, and what is to be known before it is used."""

    target: Path
    origin: dict[str, Any]
    warnings: list[str]

    @property
    def cells(self) -> list[str]:
        """Return source, commit, base, rank and projections of a table's row."""
        pulled, known = self.origin["pulled"], foreign_origin(self.target, None)
        modules = ", ".join(known["modules"])
        commit = (pulled["commit"] or "a folder")[:12]
        return [pulled["source"], commit, str(known["base_model"]), str(known["rank"]), modules]


def target_folder(place: str, domains: Domains = KITREC) -> Path:
    """Return models/<variant>/<model> for `variant/model`; variants that stages train are theirs alone."""
    variant, _, model = place.partition("/")
    if not re.match(FOLDER, variant) or variant in (*TRAINED, "base"):
        raise InputError(
            f"--as {place}: name the variant by letters, digits, - and _, not {', '.join(TRAINED)} or base, "
            "which stages write; for example published/dualft-music"
        )
    if model not in domains.models:
        raise InputError(f"--as {place}: a variant has a model for each user type: {', '.join(domains.models)}")
    return Path("models") / variant / model


def fetch(source: str, revision: str | None) -> Source:
    """Return a folder as it lies, or download a repository at a commit; a branch or nothing is resolved to one."""
    if Path(source).is_dir():
        if revision:
            raise InputError(f"{source} is a folder, it has no --revision")
        return Source(Path(source).resolve().name, None, Path(source))
    if not REPOSITORY.fullmatch(source):
        raise InputError(f"{source!r} is neither a folder here nor OWNER/NAME on the hub")
    from huggingface_hub import HfApi, snapshot_download

    with clear_errors(source, "the name"):
        info = HfApi(token=token()).model_info(source, revision=revision)
        names = {file.rfilename for file in info.siblings or []}
        require_safetensors(names, source)
        copied = [name for name in (*COPIED, ORIGIN) if name in names]
        folder = snapshot_download(source, revision=info.sha, allow_patterns=copied, token=token())
    return Source(source, info.sha, Path(folder))


def published(owner: str, variant: str, which: str) -> dict[str, list[str]]:
    """Return variant/model -> the repositories where KitREC's documents place the model of a candidate set."""
    chosen = selection.select_models(None, which, everything=True)
    return {
        f"{variant}/{kind.replace('_', '-')}": [f"{owner}/{name}", f"{owner}/{name.removesuffix('-model')}"]
        for name, (_, kind) in chosen.items()
    }


def fetch_first(names: Sequence[str], revision: str | None) -> Source:
    """Return the first of the repositories that is there."""
    errors = []
    for name in names:
        try:
            return fetch(name, revision)
        except InputError as problem:
            errors.append(str(problem))
    raise InputError("; ".join(errors))


def pull(source: Source, target: Path, base: PinnedBase) -> Pulled:
    """Check an adapter against the base and put it into its place, with an origin that states what is known of it."""
    check_foreign(source.folder, base, source.name)
    place = {"source": source.name, "commit": source.commit, "weights": files.sha256(source.folder / WEIGHTS)}
    origin = {**(_own_origin(source.folder, base) or foreign_origin(source.folder, None)), "pulled": place}
    warnings = _tokenizer_warnings(source, base)
    with files.atomic(target) as draft:
        draft.mkdir(parents=True)
        for name in COPIED:
            if (source.folder / name).is_file():
                shutil.copyfile(source.folder / name, draft / name)
        files.write_json(origin, draft / ORIGIN)
    return Pulled(target, origin, warnings)


def _own_origin(folder: Path, base: PinnedBase) -> dict[str, Any] | None:
    """Return the origin that a run of this project published with the adapter, if it was trained on this very base."""
    if not (folder / ORIGIN).is_file():
        return None
    try:
        origin = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
    except ValueError:
        return None
    known = isinstance(origin, dict) and origin.get("base") == base.fingerprint and "candidates" in origin
    return origin if known else None


def _tokenizer_warnings(source: Source, base: PinnedBase) -> list[str]:
    """Return a warning where tokens of the adapter's tokenizer have other ids in the base's, which is used."""
    if not (source.folder / TOKENIZER).is_file():
        return []
    tree = files.read_json(source.folder / TOKENIZER)
    ids = tree.get("model", {}).get("vocab")
    if not isinstance(ids, dict):  # of no byte pair encoding, so of another family than any base here
        return [f"{source.name}: its tokenizer is of another kind than the base's: was it trained on this base?"]
    ids = ids | {token["content"]: token["id"] for token in tree.get("added_tokens", [])}
    from kitrec.llm.base.loading import load_tokenizer

    known = load_tokenizer(base).get_vocab()
    different = sorted(token for token, number in ids.items() if known.get(token) != number)
    if not different:
        return []
    listed = ", ".join(map(repr, different[:3]))
    return [
        f"{source.name}: {len(different)} tokens of its tokenizer ({listed}) are not those of the base, whose "
        "tokenizer is used: was it trained on this base?"
    ]
