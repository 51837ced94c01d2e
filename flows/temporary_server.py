"""A Prefect server that lives as long as this process. The parent uses only the standard library.

Unlike the server that Prefect starts by itself when it first needs one, this one starts before the heavy imports and
overlaps them, has 120 s for a fresh database, sends no telemetry, and ends with its parent, however that ends: it reads
from a pipe that only the parent can write to, and the operating system closes the pipe of a killed process.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty, SimpleQueue

STARTUP_SECONDS = 120  # a fresh database takes 10 to 20 s on a slow machine

# What the server process itself runs with: no user interface, no telemetry, warnings only.
ENVIRONMENT = {
    "PREFECT_UI_ENABLED": "0",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
}
# Meant for other servers. Only this process can use this one, so it has no password.
IGNORED = {"PREFECT_SERVER_API_AUTH_STRING"}


class TemporaryServer:
    """Starts when it is made. `url` waits until it answers, and the end of this process stops it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - it runs this file
            [sys.executable, str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,  # the pipe that ties its life to ours
            stdout=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if name not in IGNORED} | ENVIRONMENT,
            text=True,
            start_new_session=True,  # Ctrl-C is for the flow, which then still needs the server
        )
        # Not at the end of a `with` block: Prefect sends its last logs and events when the interpreter exits, and what
        # is registered here is called after that.
        atexit.register(self.stop)
        self._answers: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def url(self) -> str:
        """The address of its API, once it answers.

        Raises:
            RuntimeError: if it ends, or is not ready in time.
        """
        try:
            answer = self._answers.get(timeout=STARTUP_SECONDS)
        except Empty:
            raise RuntimeError(f"the temporary Prefect server was not ready after {STARTUP_SECONDS} s") from None
        if not answer:
            raise RuntimeError(f"the temporary Prefect server ended with exit code {self.process.wait()}")
        return answer

    def stop(self) -> None:
        """Asks the server to end, and ends it after 5 s."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        self._answers.put(self.process.stdout.readline().strip())  # "" if it ended without a word
        for _ in self.process.stdout:
            pass  # so that whatever else it prints does not fill the pipe


def serve() -> None:
    """The server process: serves on a free port, prints the address, and ends when stdin is closed."""
    import socket

    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_end_with_parent, daemon=True).start()

    import uvicorn
    from prefect.server.api.server import create_app

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                print(f"http://127.0.0.1:{listener.getsockname()[1]}/api", flush=True)

    config = uvicorn.Config(create_app, factory=True, log_level="error", lifespan="on")
    Server(config).run(sockets=[listener])


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    serve()
