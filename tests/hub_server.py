"""A Hugging Face Hub in miniature on localhost: repositories in memory, for the real client to talk to.

It implements the requests of `create_repo`, `upload_folder`, `dataset_info` and `snapshot_download`; every file is
"regular"."""

# ruff: noqa: RET503
import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass
class Hub:
    """State of the server: files by (type, name), and what it received."""

    repositories: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    refuse_commits_after: int = 10**9
    url: str = ""

    def commit_of(self, name: str) -> str:
        files = next(files for (_, repository), files in self.repositories.items() if repository == name)
        return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()


def serve(hub: Hub) -> ThreadingHTTPServer:
    """Start a server for the hub in a thread."""
    handler = type("Bound", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.hub.tokens.add(self.headers.get("Authorization", ""))
        path = unquote(urlsplit(self.path).path)
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if match := re.fullmatch(r"/api/(datasets|models)/([^/]+/[^/]+)/preupload/main", path):
            announced = json.loads(body)["files"]
            modes = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None} for f in announced
            ]
            return self._json({"files": modes})
        if match := re.fullmatch(r"/api/(datasets|models)/([^/]+/[^/]+)/commit/main", path):
            return self._commit(match[1], match[2], body)
        return self._json({"error": "unknown"}, 404)

    def do_GET(self) -> None:
        self._read(body=True)

    def do_HEAD(self) -> None:
        self._read(body=False)

    def _create(self, request: dict) -> None:
        name = f"{request.get('organization') or 'me'}/{request['name']}"
        self.hub.repositories.setdefault((f"{request.get('type', 'model')}s", name), {})
        self.hub.private[name] = request.get("private", request.get("visibility") == "private")
        self._json({"url": f"{self.hub.url}/{name}", "name": name, "id": name})

    def _commit(self, kind: str, name: str, body: bytes) -> None:
        if len(self.hub.commits) >= self.hub.refuse_commits_after:
            return self._json({"error": "the disk is full"}, 507)
        files = self.hub.repositories[kind, name]
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "deletedFile":
                files.pop(line["value"]["path"])
        self.hub.commits.append(name)
        prefix = "datasets/" if kind == "datasets" else ""
        sha = self.hub.commit_of(name)
        self._json(
            {"commitUrl": f"{self.hub.url}/{prefix}{name}/commit/{sha}", "commitOid": sha, "pullRequestUrl": None}
        )

    def _read(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        if match := re.fullmatch(r"/api/(datasets|models)/([^/]+/[^/]+)(/revision/\w+)?", path):
            return self._info(match[1], match[2])
        if match := re.fullmatch(r"/api/(datasets|models)/([^/]+/[^/]+)/tree/\w+(/.*)?", path):
            files = self.hub.repositories.get((match[1], match[2]), {})
            return self._json([{"type": "file", "oid": _etag(c), "size": len(c), "path": n} for n, c in files.items()])
        if match := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/\w+/(.+)", path):
            files = self.hub.repositories.get(("datasets" if match[1] else "models", match[2]), {})
            if match[3] in files:
                return self._send(files[match[3]], self.hub.commit_of(match[2]), body=body)
        return self._missing("EntryNotFound" if "/resolve/" in path else "RepoNotFound")

    def _info(self, kind: str, name: str) -> None:
        if (kind, name) not in self.hub.repositories:
            return self._missing("RepoNotFound")
        siblings = [{"rfilename": path} for path in self.hub.repositories[kind, name]]
        self._json({"id": name, "sha": self.hub.commit_of(name), "siblings": siblings, "private": True, "tags": []})

    def _send(self, content: bytes, commit: str, *, body: bool) -> None:
        self.send_response(200)
        for key, value in (
            ("X-Repo-Commit", commit),
            ("ETag", f'"{_etag(content)}"'),
            ("Content-Length", len(content)),
        ):
            self.send_header(key, str(value))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def _missing(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _json(self, value: object, status: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _etag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
