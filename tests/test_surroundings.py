"""The command where it was not at home: proxies, users without a home, closed streams, process 1 of a container."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import COMMAND, KNESER_NEY, ROOT, run
from namegen.errors import PassingError, SettingError
from namegen.process import open_streams
from network import settle_network
from prefect_home import settle_home
from temporary_server import TemporaryServer

PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No proxies; what is set is undone."""
    for name in {name for name in os.environ if name.lower() in PROXIES} | {"SSL_CERT_FILE", "no_proxy", "NO_PROXY"}:
        monkeypatch.setenv(name, "")  # so that it is put back, whatever is done to it
        monkeypatch.delenv(name)
    return monkeypatch


def test_a_home_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The job takes a temporary one, and says so in a line."""
    said: list[str] = []
    monkeypatch.setenv("PREFECT_HOME", "")  # so that it is put back
    monkeypatch.delenv("PREFECT_HOME")
    monkeypatch.setenv("HOME", "/proc/none")
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    settle_home(tmp_path / "spare", said.append)
    what = "/proc/none/.prefect cannot be used (No such file or directory)"
    assert said == [f"{what}; this run keeps Prefect's files in a temporary folder"]
    assert os.environ["PREFECT_HOME"] == str(tmp_path / "spare")


def test_a_database_that_is_damaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The server takes a temporary one, says so in a line, and leaves nothing when it ends."""
    said: list[str] = []
    (tmp_path / "prefect.db").write_bytes(b"this is not a database" * 100)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    server = TemporaryServer(tmp_path / "spare", said.append, print)
    assert server.url().startswith("http://127.0.0.1:")
    assert said == ["Prefect's database cannot be used (file is not a database); this run has a temporary one"]
    assert (tmp_path / "spare" / "prefect.db").exists()
    assert server.process.stdin
    server.process.stdin.close()  # as if this process had died
    server.process.wait(20)
    assert not (tmp_path / "spare").exists()


def test_a_full_disk_for_prefect(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Too little room is found before Prefect finds it, and where there is none at all, the job says what to set."""
    said: list[str] = []
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5_000_000))
    settle_home(tmp_path / "spare", said.append)
    what = f"{tmp_path / 'home'} cannot be used (only 5.0 MB are free)"
    assert said == [f"{what}; this run keeps Prefect's files in a temporary folder"]
    assert os.environ["PREFECT_HOME"] == str(tmp_path / "spare")
    for spare in (None, tmp_path / "missing" / "spare"):
        with pytest.raises(SettingError, match=r"nor can a temporary folder .* Set TMPDIR or PREFECT_HOME"):
            settle_home(spare, said.append)


def test_the_last_words_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are a line, with what to do, where no temporary database can be made either."""
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "postgresql+asyncpg://nobody:x@127.0.0.1:9/none")
    server = TemporaryServer(None, print, print)
    with pytest.raises(PassingError) as caught:
        server.url()
    assert "Connect call failed ('127.0.0.1', 9)" in caught.value.what
    assert "\n" not in str(caught.value)
    assert "Set PREFECT_HOME to another folder, or PREFECT_API_URL to a server" in str(caught.value)


def test_nothing_on_this_machine_is_asked_through_a_proxy(variables: pytest.MonkeyPatch) -> None:
    """And the user's own exceptions stay, under whichever name they were given."""
    variables.setenv("NO_PROXY", "internal.example, 10.0.0.1")
    variables.setenv("AWS_ENDPOINT_URL", "http://127.0.0.77:9000")
    settle_network()
    expected = "internal.example,10.0.0.1,localhost,127.0.0.1,::1,127.0.0.77"
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == expected
    settle_network()
    assert os.environ["no_proxy"] == expected
    variables.setenv("NO_PROXY", "*")
    variables.delenv("no_proxy")
    settle_network()
    assert os.environ["no_proxy"] == "*"


@pytest.mark.parametrize("value", ["ftp://proxy:1", "socks4://proxy:1", "http://", "http://proxy:port", "http://a:0"])
def test_proxies_that_are_none(variables: pytest.MonkeyPatch, value: str) -> None:
    """A line says which variable it is, without a password in it."""
    variables.setenv("ALL_PROXY", value)
    with pytest.raises(SettingError, match=r"ALL_PROXY=.* is not a proxy .* Write http://host:port"):
        settle_network()
    variables.setenv("ALL_PROXY", "ftp://me:secret@proxy:1")
    with pytest.raises(SettingError) as caught:
        settle_network()
    assert "secret" not in str(caught.value)


def test_a_proxy_as_desktops_write_it(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("ALL_PROXY", "socks://127.0.0.1:1080/")
    settle_network()
    assert os.environ["ALL_PROXY"] == "socks5://127.0.0.1:1080/"


def test_certificates_that_are_missing(variables: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for path, why in ((tmp_path / "none", "No such file"), (tmp_path / "empty", "it holds no certificate")):
        variables.setenv("SSL_CERT_FILE", str(path))
        with pytest.raises(SettingError, match=f"SSL_CERT_FILE={path} is not a file of certificates .{why}"):
            settle_network()


@pytest.mark.parametrize("variable", ["NUMBA_NUM_THREADS=0", "NUMBA_OPT=x"])
def test_variables_of_numba(environment: dict[str, str], tmp_path: Path, variable: str) -> None:
    """Those that it cannot use are named in a line, before anything is made."""
    name, _, value = variable.partition("=")
    done = run({**environment, name: value}, *KNESER_NEY, "--output", tmp_path / "o")
    assert done.returncode == 2
    assert done.stderr.startswith(f"generate.py: error: numba does not load with {variable} (")
    assert done.stderr.count("\n") == 1


def test_a_closed_stream_is_opened(tmp_path: Path) -> None:
    """A file that is opened next does not become it."""
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from namegen.process import open_streams
closed = open_streams()
file = os.open({str(tmp_path / "file")!r}, os.O_CREAT | os.O_WRONLY)
print("never to be seen", file=sys.stderr)
sys.exit(0 if closed == {{"stderr"}} and file > 2 else 1)
"""
    shell = ["/bin/sh", "-c", '"$@" 2>&-', "sh", sys.executable, "-c", code]
    assert subprocess.run(shell, check=False).returncode == 0
    assert (tmp_path / "file").read_bytes() == b""
    assert open_streams() == set()


@pytest.mark.skipif(not shutil.which("unshare") or os.geteuid() != 0, reason="needs root, and namespaces")
def test_process_1_of_a_container(tmp_path: Path) -> None:
    """It has no default actions, and ends at SIGTERM all the same, as early as it comes."""
    job = [*COMMAND, *KNESER_NEY, "--count", "9", "--output", str(tmp_path / "o")]
    inside = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *job]
    with subprocess.Popen(inside, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not children.read_text().split() and process.poll() is None:
            time.sleep(0.01)
        child = int(children.read_text().split()[0])
        while b"generate.py" not in Path(f"/proc/{child}/cmdline").read_bytes():
            time.sleep(0.01)
        time.sleep(0.7)  # it imports, and then plans
        os.kill(child, signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
