"""raw.githubusercontent.com in miniature on localhost: files by path, with ranges, and with connections that break."""

import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass
class GitHub:
    """What the server has, how it misbehaves, and the (path, first byte) of every request."""

    files: dict[str, bytes] = field(default_factory=dict)
    cut_after: int | None = None  # bytes of a reply after which the connection is closed
    cuts: int = 0  # how many replies are still cut
    without_ranges: bool = False
    statuses: list[int] = field(default_factory=list)  # of the next replies
    requests: list[tuple[str, int]] = field(default_factory=list)
    url: str = ""


def serve(github: GitHub) -> ThreadingHTTPServer:
    """Start the server in a thread."""
    handler = type("Bound", (_Handler,), {"github": github})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    github.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    github: GitHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        github, path = self.github, unquote(urlsplit(self.path).path).lstrip("/")
        byte_range = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        first = int(byte_range[1]) if byte_range and not github.without_ranges else 0
        github.requests.append((path, int(byte_range[1]) if byte_range else 0))
        if github.statuses:
            return self._send(github.statuses.pop(0), b"", {})
        content = github.files.get(path)
        if content is None:
            return self._send(404, b"404: Not Found", {})
        if first >= len(content) > 0:
            return self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        if first:
            return self._send(
                206, content[first:], {"Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}"}
            )
        return self._send(200, content, {})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        github = self.github
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if github.cuts and github.cut_after is not None and len(content) > github.cut_after:
            github.cuts -= 1
            self.wfile.write(content[: github.cut_after])
            self.close_connection = True
            return
        self.wfile.write(content)
