"""An S3 server that does what it should, and a proxy before it that does not."""

from __future__ import annotations

import http.client
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread


@dataclass
class Faults:
    """How often, of all requests, the proxy does each of the things that stores and networks do.

    Args:
        error: answers 500, and does nothing else.
        late_error: does what it was asked for, and answers 500.
        slow: waits for `seconds` before it answers.
        cut: closes the connection in the middle of the answer.
        only: the requests that this happens to; the others go through.
        forbidden: every request is answered with 403.
    """

    error: float = 0.0
    late_error: float = 0.0
    slow: float = 0.0
    cut: float = 0.0
    seconds: float = 0.05
    only: tuple[str, ...] = ("GET", "PUT", "HEAD", "DELETE", "POST")
    forbidden: bool = False
    draw: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - reproducible is the point
    requests: list[str] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)


class _Handler(BaseHTTPRequestHandler):
    target: tuple[str, int]
    faults: Faults
    lock: Lock
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.lock:
            self.faults.requests.append(f"{self.command} {self.path}")
            fate = self.fate()
            self.faults.done[fate] = self.faults.done.get(fate, 0) + 1
        if fate == "slow":
            time.sleep(self.faults.seconds)
        headers: dict[str, str] = {}
        status, answer = 500, b"<Error><Code>InternalError</Code></Error>"
        if fate == "forbidden":
            status, answer = 403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        elif fate != "error":
            status, headers, answer = self.ask(body)
        if fate == "late_error":
            status, headers, answer = (500, {}, b"<Error><Code>InternalError</Code></Error>")
        self.reply(status, headers, answer, is_cut=fate == "cut")

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = forward  # noqa: N815 - their names are the protocol's

    def fate(self) -> str:
        if self.faults.forbidden:
            return "forbidden"
        chance = self.faults.draw.random() if self.command in self.faults.only else 1.0
        for name in ("error", "late_error", "slow", "cut"):
            if (chance := chance - getattr(self.faults, name)) < 0:
                return name
        return ""

    def ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(*self.target, timeout=60)
        kept = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        connection.request(self.command, self.path, body or None, kept)
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        return response.status, dict(response.getheaders()), answer

    def reply(self, status: int, headers: dict[str, str], answer: bytes, *, is_cut: bool) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in {"content-length", "connection", "transfer-encoding", "server", "date"}:
                self.send_header(name, value)
        length = next((value for name, value in headers.items() if name.lower() == "content-length"), len(answer))
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if is_cut:
            self.close_connection = True
            self.wfile.write(answer[: len(answer) // 2])
            self.wfile.flush()
            self.connection.close()
        elif self.command != "HEAD":
            self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass  # a connection that we cut, or that the other side did


def _bound(target: tuple[str, int], faults: Faults) -> type[_Handler]:
    return type("Bound", (_Handler,), {"target": target, "faults": faults, "lock": Lock()})


@contextmanager
def faulty(target: tuple[str, int], faults: Faults) -> Iterator[str]:
    """The address of a proxy before `target`; what `faults` says can be changed while it runs."""
    with _Server(("127.0.0.1", 0), _bound(target, faults)) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
