"""A Prefect server that lives as long as this process. The parent uses only the standard library.

Unlike the server that Prefect starts by itself when it first needs one, this one starts before the heavy imports and
overlaps them, has 120 s for a fresh database, sends no telemetry, and ends with its parent, however that ends: it reads
from a pipe that only the parent can write to, and the operating system closes the pipe of a killed process. Servers
that start at once make their common database one after the other. Where the database cannot be used, the server makes
a temporary one.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NoReturn

from namegen.errors import PassingError

STARTUP_SECONDS = 120  # a fresh database takes 10 to 20 s on a slow machine
TURN_SECONDS = 60  # for the other servers to make the database
TRIES = 3  # of servers that start at once on one database, some can fail

# What the server process itself runs with: no user interface, no telemetry, warnings only.
ENVIRONMENT = {
    "PREFECT_UI_ENABLED": "0",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "0",
    "PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "0",  # it is done here, in turns
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
}
DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
# Meant for other servers. Only this process can use this one, so it has no password.
IGNORED = {"PREFECT_SERVER_API_AUTH_STRING"}
ERROR = re.compile(r"(?:[\w.]+\.)?\w*(?:Error|Exception|Interrupt)\b.*")  # the line of a traceback that says what


class TemporaryServer:
    """Starts when it is made. `url` waits until it answers, and the end of this process stops it.

    Args:
        spare: where it can make a folder for a temporary database; None if nowhere.
        say: takes a line for the user, if it had to.
        lost: takes the error if the server ends while it is needed, in a thread: Prefect would wait for it for minutes.
    """

    def __init__(
        self, spare: Path | None, say: Callable[[str], object], lost: Callable[[PassingError], object]
    ) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - it runs this file
            [sys.executable, str(Path(__file__).resolve()), str(spare or ""), str(TRIES)],
            stdin=subprocess.PIPE,  # the pipe that ties its life to ours
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if name not in IGNORED} | ENVIRONMENT,
            text=True,
            errors="backslashreplace",
            start_new_session=True,  # Ctrl-C is for the flow, which then still needs the server
        )
        # Not at the end of a `with` block: Prefect sends its last logs and events when the interpreter exits, and what
        # is registered here is called after that.
        atexit.register(self.stop)
        self._say, self._lost, self._is_needed = say, lost, True
        self._answers = SimpleQueue[str]()
        self._errors: deque[str] = deque(maxlen=100)
        self._listeners = [threading.Thread(target=each, daemon=True) for each in (self._listen, self._keep_errors)]
        for listener in self._listeners:
            listener.start()

    def url(self) -> str:
        """The address of its API, once it answers.

        Raises:
            PassingError: if it ends, or is not ready in time.
        """
        try:
            answer = self._answers.get(timeout=STARTUP_SECONDS)
        except Empty:
            raise self._failure(f"was not ready after {STARTUP_SECONDS} s") from None
        if not answer:
            raise self._failure(self._end())
        return answer

    def stop(self) -> None:
        """Asks the server to end, and ends it after 5 s."""
        self._is_needed = False
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        has_answered = False
        for line in self.process.stdout:  # to the end, so that whatever else it prints does not fill the pipe
            kind, _, text = line.strip().partition(" ")
            if kind == "remark":
                self._say(text)
            elif kind == "address":
                self._answers.put(text)
                has_answered = True
        self._answers.put("")
        if has_answered and self._is_needed:
            self._lost(self._failure(self._end(), "Run the same command again; it continues"))

    def _keep_errors(self) -> None:
        assert self.process.stderr is not None
        self._errors.extend(self.process.stderr)

    def _end(self) -> str:
        code = self.process.wait()
        return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"

    def _failure(
        self, what: str, remedy: str = "Set PREFECT_HOME to another folder, or PREFECT_API_URL to a server"
    ) -> PassingError:
        """An error with the server's last words."""
        self._listeners[1].join(1)
        lines = [line.strip() for line in self._errors if line.strip()]
        words = next((line for line in reversed(lines) if ERROR.fullmatch(line)), lines[-1] if lines else "")
        return PassingError(f"the temporary Prefect server {what}{words and f' ({words})'}", remedy=remedy)


def serve(spare: Path | None, tries: int) -> None:
    """The server process: serves on a free port, prints the address, and ends when stdin is closed.

    Args:
        spare: the folder for a temporary database, if it is needed; None if there is no room for one.
        tries: how often it may start, this time included.
    """
    import socket

    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_end_with_parent, args=(spare,), daemon=True).start()

    try:
        make_database()
    except Exception as error:
        url = f"sqlite+aiosqlite:///{spare and spare / 'prefect.db'}"
        if spare is None or os.environ.get(DATABASE) == url:
            raise
        what = f"Prefect's database cannot be used ({reason(error)})"
        print("remark", f"{what}; this run has a temporary one", flush=True)
        spare.mkdir(mode=0o700, exist_ok=True)
        os.environ[DATABASE] = url
        begin_again(tries)  # a process keeps the database that it began with

    import uvicorn
    from prefect.server.api.server import create_app

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                print(f"address http://127.0.0.1:{listener.getsockname()[1]}/api", flush=True)

    config = uvicorn.Config(create_app, factory=True, log_level="error", lifespan="on")
    server = Server(config)
    try:
        server.run(sockets=[listener])
    except SystemExit:
        if server.started or tries == 1:
            raise
        time.sleep(1)
        begin_again(tries - 1)


def begin_again(tries: int) -> NoReturn:
    """Starts the server in this process anew."""
    os.execv(sys.executable, [sys.executable, *sys.argv[:2], str(tries)])  # noqa: S606 - it runs this file


def make_database() -> None:
    """Makes the database of Prefect's settings, or brings it up to date, while no other server on this machine does."""
    import asyncio

    from prefect.server.database import provide_database_interface
    from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, PREFECT_HOME
    from sqlalchemy.engine import make_url

    url = make_url(PREFECT_API_DATABASE_CONNECTION_URL.value())
    is_file = url.get_backend_name() == "sqlite" and url.database and ":memory:" not in url.database
    beside = Path(url.database) if is_file and url.database else Path(PREFECT_HOME.value()) / "prefect.db"
    with _turn(beside.with_name(f"{beside.name}.lock")):
        asyncio.run(provide_database_interface().create_db())


@contextmanager
def _turn(lock: Path) -> Iterator[None]:
    import portalocker

    with portalocker.Lock(lock, "a", timeout=TURN_SECONDS, check_interval=0.05):
        yield


def reason(error: BaseException) -> str:
    """What is at the bottom of an error, in a line."""
    while cause := getattr(error, "orig", None) or error.__cause__:
        error = cause
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


def _end_with_parent(spare: Path | None) -> None:
    sys.stdin.read()
    for _ in range(100 if spare else 0):  # the server, which is still at work, may put a file into it in between
        shutil.rmtree(str(spare), ignore_errors=True)
        if not os.path.lexists(str(spare)):
            break
        time.sleep(0.01)
    os._exit(0)


if __name__ == "__main__":
    serve(Path(sys.argv[1]) if sys.argv[1] else None, int(sys.argv[2]))
