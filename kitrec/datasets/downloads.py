"""Files of public repositories at pinned commits: fetched once, resumed where they were cut, checked by hash.

A file is complete when the server's announced length has arrived and its SHA-256 is the expected one: that of the
specification or, where that has none, the one in the lock file (`fetched.json`), which the first fetch writes. So the
first fetch of a file without a published hash rests on its commit and on TLS; every later one must agree with it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from tqdm import tqdm

from kitrec.core import files
from kitrec.core.errors import InputError

GITHUB = "https://raw.githubusercontent.com"
LOCK = "fetched.json"
TIMEOUT = 60.0  # seconds without a byte
ATTEMPTS, PAUSE = 5, 2.0  # tries in a row that bring no byte; seconds before the second, doubled every time
MOST_BYTES = 256 * 2**20  # of one file: what is larger is not what was asked for
Report = Callable[[int], object]


class GoneError(InputError):
    """A file that its host has no more."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository at a commit, with its SHA-256 where that is published; an optional one may be gone."""

    repository: str
    commit: str
    path: str
    sha256: str | None = None
    optional: bool = False

    @property
    def name(self) -> str:
        """Return the key in the lock file."""
        return f"{self.repository}@{self.commit}/{self.path}"

    @property
    def place(self) -> Path:
        """Return where the file lies among the downloads."""
        return Path(self.repository) / self.commit / self.path


class Downloads:
    """A folder of downloads and the lock file beside it."""

    def __init__(self, folder: Path, lock: Path, host: str = GITHUB) -> None:
        self._folder, self._lock, self._host = folder, lock, host.rstrip("/")

    def locked(self) -> dict[str, dict[str, Any]]:
        """Return what is known of every file that was fetched: hash, length, rows."""
        return dict(files.read_json(self._lock)) if self._lock.exists() else {}

    def fetch(self, requested: Sequence[RemoteFile], *, quiet: bool) -> dict[RemoteFile, Path]:
        """Return the place of every file; complete ones are kept, others are fetched, from where they were cut.

        Optional files that are gone are left out."""
        places = {}
        with httpx.Client(timeout=TIMEOUT, follow_redirects=True, headers={"Accept-Encoding": "identity"}) as client:
            for file in requested:
                try:
                    places[file] = self._fetch(client, file, quiet=quiet)
                except GoneError:
                    if not file.optional:
                        raise
        return places

    def record_rows(self, rows: Mapping[str, int]) -> None:
        """Add to the lock file how many rows each file gave."""
        locked = self.locked()
        files.write_json({name: {**entry, "rows": rows.get(name)} for name, entry in locked.items()}, self._lock)

    def _fetch(self, client: httpx.Client, file: RemoteFile, *, quiet: bool) -> Path:
        target, known = self._folder / file.place, self.locked().get(file.name, {}).get("sha256")
        if file.sha256 and known and known != file.sha256:
            raise InputError(f"{self._lock} states another hash of {file.name} than kitrec expects: remove the entry")
        expected = file.sha256 or known
        if target.exists() and expected == files.sha256(target):
            return target
        partial = target.with_name(f"{target.name}.part")
        partial.parent.mkdir(parents=True, exist_ok=True)
        address = f"{self._host}/{file.repository}/{file.commit}/{quote(file.path)}"
        with tqdm(desc=target.name, unit="B", unit_scale=True, disable=quiet, leave=False) as progress:
            _receive(client, address, partial, progress.update)
        received = files.sha256(partial)
        if expected and received != expected:
            partial.unlink()
            raise InputError(_wrong_hash(address, received, expected, self._lock, pinned=file.sha256 is not None))
        partial.replace(target)
        entry = {"sha256": received, "bytes": target.stat().st_size}
        files.write_json(dict(sorted({**self.locked(), file.name: entry}.items())), self._lock)
        return target


def _receive(client: httpx.Client, address: str, partial: Path, report: Report) -> None:
    """Receive a file into `partial`, from where it ends; a connection that breaks is resumed."""
    failures, before = 0, -1
    while True:
        length = partial.stat().st_size if partial.exists() else 0
        failures = failures + 1 if length <= before else 1
        before = length
        try:
            return _receive_once(client, address, partial, length, report)
        except (httpx.TransportError, httpx.HTTPStatusError) as problem:
            if _is_gone(problem):
                raise GoneError(f"{address} is not there any more: its repository was removed or renamed") from None
            if failures >= ATTEMPTS or not _is_passing(problem):
                raise InputError(_unreachable(address, problem)) from None
            time.sleep(PAUSE * 2 ** (failures - 1))


def _receive_once(client: httpx.Client, address: str, partial: Path, length: int, report: Report) -> None:
    headers = {"Range": f"bytes={length}-"} if length else {}
    with client.stream("GET", address, headers=headers) as reply:
        if reply.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:  # complete, or longer than the file is
            if reply.headers.get("Content-Range") == f"bytes */{length}":
                return
            partial.unlink()
            raise httpx.ReadError("the part received so far was longer than the file")
        reply.raise_for_status()
        resumed = reply.status_code == httpx.codes.PARTIAL_CONTENT
        with partial.open("ab" if resumed else "wb") as stream, _no_space_message(partial):
            for piece in reply.iter_raw():
                report(len(piece))
                stream.write(piece)
                if stream.tell() > MOST_BYTES:
                    raise InputError(f"{address} is larger than {MOST_BYTES >> 20} MiB: that is not the expected file")
        _require_complete(reply, partial)


def _require_complete(reply: httpx.Response, partial: Path) -> None:
    """Raise if fewer bytes than announced have arrived, which proxies do without breaking the protocol."""
    announced = reply.headers.get("Content-Range", "").rpartition("/")[2] or reply.headers.get("Content-Length")
    if announced and announced.isdigit() and partial.stat().st_size != int(announced):
        raise httpx.ReadError(f"{partial.stat().st_size} of {announced} bytes arrived")


@contextmanager
def _no_space_message(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        if files.is_full_disk_error(problem):
            raise InputError(f"no space left for {path}: free some and run again, what arrived is kept") from None
        raise


def _is_gone(problem: Exception) -> bool:
    return isinstance(problem, httpx.HTTPStatusError) and problem.response.status_code in (404, 410, 451)


def _is_passing(problem: Exception) -> bool:
    """Return whether a request may succeed later."""
    if isinstance(problem, httpx.HTTPStatusError):
        return problem.response.status_code in (408, 425, 429) or problem.response.status_code >= 500
    return True


def _unreachable(address: str, problem: Exception) -> str:
    if isinstance(problem, httpx.HTTPStatusError):
        status = problem.response.status_code
        return f"{address} was refused (HTTP {status}): try again later, what arrived is kept"
    return f"{address} cannot be reached ({problem}): check the network and run again, what arrived is kept"


def _wrong_hash(address: str, received: str, expected: str, lock: Path, *, pinned: bool) -> str:
    stated = "kitrec expects" if pinned else f"{lock} holds since the first fetch"
    way_out = "" if pinned else f"; if you trust the new file, remove its entry from {lock}"
    return (
        f"{address} has SHA-256 {received[:16]}…, {stated} {expected[:16]}…: it was altered on the way or at its "
        f"origin, and was not kept. Run again{way_out}"
    )
