"""Cache of replies: a folder with one JSON file per request, named by the hash of the request.

A cached request is never sent, nor paid for, again. A file also holds its request, so that it can be read by itself."""

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
    """A reply and its cost by the prices at the time."""

    content: str | None
    finish_reason: str
    model: str  # the server's name: often with the date of a snapshot
    prompt_tokens: int
    completion_tokens: int
    cost: float


def json_object(reply: Reply) -> dict[str, Any] | None:
    """Return the JSON object that a whole reply is, None of any other."""
    if reply.finish_reason == "length" or not reply.content:
        return None
    try:
        content = json.loads(reply.content)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


@dataclass(frozen=True)
class _CachedReply:
    request: dict[str, Any]
    reply: Reply


_CACHED_REPLY = TypeAdapter(_CachedReply)


class ReplyCache:
    """The cache folder. Files are written atomically."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    def __len__(self) -> int:
        return sum(1 for _ in self._paths())

    def __contains__(self, request: ChatRequest) -> bool:
        return self._path(request).exists()

    def get(self, request: ChatRequest) -> Reply:
        """Return the reply to a cached request."""
        return self._read(self._path(request))

    def put(self, request: ChatRequest, reply: Reply) -> None:
        """Cache a reply."""
        files.write_json({"request": json.loads(request.text), "reply": asdict(reply)}, self._path(request))

    def total_cost(self) -> float:
        """Return the cost of all replies in the folder, of all runs."""
        return sum(self._read(path).cost for path in self._paths())

    def import_from(self, folder: Path) -> None:
        """Copy the replies of another folder, if it exists."""
        for path in sorted(folder.glob("*.json")):
            if not (self.folder / path.name).exists():
                self._read(path)
                _copy(path, self.folder / path.name)

    def export(self, names: Iterable[str], folder: Path) -> None:
        """Replace a folder by exactly these replies."""
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
            cached = _CACHED_REPLY.validate_json(path.read_bytes(), strict=True)
        except ValidationError as problem:
            first = problem.errors(include_url=False)[0]
            raise InputError(_broken(path, ": ".join([*map(str, first["loc"]), first["msg"]]))) from None
        text = json.dumps(cached.request, ensure_ascii=False)
        if hashlib.sha256(text.encode()).hexdigest() != path.stem:
            raise InputError(_broken(path, "its name is not the hash of its request"))
        return cached.reply


def _copy(path: Path, target: Path) -> None:
    with files.atomic(target) as draft:
        shutil.copyfile(path, draft)


def _broken(path: Path, what: str) -> str:
    return f"{path} is no cached reply ({what}): remove it, and its request is sent again"
