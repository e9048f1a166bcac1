"""A folder of kept replies, one JSON file for each request, named by the request's hash: what was asked once is never
asked, nor paid, again. A file holds the request too, so that everybody can read what a reply answers."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.openai_client.request import ChatRequest


@dataclass(frozen=True)
class Reply:
    """What came back, and what it cost by the prices of that day."""

    content: str | None
    finish_reason: str
    model: str  # as the server calls it: often with the date of a snapshot
    prompt_tokens: int
    completion_tokens: int
    cost: float


@dataclass(frozen=True)
class _Kept:
    request: dict[str, Any]
    reply: Reply


_KEPT = TypeAdapter(_Kept)


class Replies:
    """The folder. Each file appears whole or not at all."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    def __len__(self) -> int:
        return sum(1 for _ in self._paths())

    def __contains__(self, request: ChatRequest) -> bool:
        return self._path(request).exists()

    def find(self, request: ChatRequest) -> Reply:
        """The kept reply to a request that was answered."""
        return self._read(self._path(request))

    def keep(self, request: ChatRequest, reply: Reply) -> None:
        """Write a reply down."""
        files.write_json({"request": json.loads(request.text), "reply": asdict(reply)}, self._path(request))

    def spent(self) -> float:
        """Money for all replies of the folder, by whatever run."""
        return sum(self._read(path).cost for path in self._paths())

    def take_in(self, folder: Path) -> None:
        """Keep the replies of another folder too, where there is one."""
        for path in sorted(folder.glob("*.json")):
            if not (self.folder / path.name).exists():
                self._read(path)
                _copy(path, self.folder / path.name)

    def hand_out(self, names: Iterable[str], folder: Path) -> None:
        """Make a folder of exactly these replies."""
        with files.atomic(folder) as draft:
            draft.mkdir()
            for name in names:
                _copy(self.folder / f"{name}.json", draft / f"{name}.json")

    def _path(self, request: ChatRequest) -> Path:
        return self.folder / f"{request.name}.json"

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("*.json"))

    def _read(self, path: Path) -> Reply:
        try:
            kept = _KEPT.validate_json(path.read_bytes(), strict=True)
        except ValidationError as problem:
            first = problem.errors(include_url=False)[0]
            raise InputError(_broken(path, ": ".join([*map(str, first["loc"]), first["msg"]]))) from None
        text = json.dumps(kept.request, ensure_ascii=False)
        if hashlib.sha256(text.encode()).hexdigest() != path.stem:
            raise InputError(_broken(path, "its request is not the one that its name hashes"))
        return kept.reply


def _copy(path: Path, target: Path) -> None:
    with files.atomic(target) as draft:
        shutil.copyfile(path, draft)


def _broken(path: Path, what: str) -> str:
    return f"{path} is no kept reply ({what}): remove it, and what no other folder has is asked again"
