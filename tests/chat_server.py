"""An OpenAI-compatible server in miniature on localhost, for the real client to talk to."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any]], tuple[int, Any]]  # request -> status and body


def completion(content: str | None, prompt_tokens: int = 100, completion_tokens: int = 10, **choice: Any) -> Any:
    """Return a reply in the format of the API's reference."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "judge-2026-01-01",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop", **choice}
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }


@dataclass
class ChatServer:
    """How the server answers, and what it received: requests, paths, keys and the number of concurrent requests."""

    answer: Answer
    requests: list[dict[str, Any]] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    in_flight: int = 0
    max_in_flight: int = 0
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)


def serve(chat: ChatServer) -> ThreadingHTTPServer:
    """Start the server in a thread."""
    handler = type("Bound", (_Handler,), {"chat": chat})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    chat.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    chat: ChatServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        chat = self.chat
        with chat.lock:
            chat.requests.append(request)
            chat.paths.add(self.path)
            chat.keys.add(self.headers["Authorization"])
            chat.in_flight += 1
            chat.max_in_flight = max(chat.max_in_flight, chat.in_flight)
        status, body = chat.answer(request)
        with chat.lock:
            chat.in_flight -= 1
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
