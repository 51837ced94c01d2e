from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from prefect.client.schemas.objects import State
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

import command_line
from generate import generate
from namegen.automaton.automaton import Automaton
from namegen.automaton.logarithm import ln
from namegen.automaton.walk import walk
from namegen.commands.main import main
from namegen.corpus.corpus import Corpus, read_corpus
from namegen.model import Model
from namegen.models import bigram
from namegen.outputs.dataset import DatasetManifest
from namegen.outputs.manifests import Manifest, open_manifest, write_manifest
from namegen.pipeline import Made
from namegen.storage.files import Location
from namegen.training.evaluate import nll
from namegen.training.quantise import Contexts, quantise
from notebook_draws import notebook_counts
from servers import prefect_server as start_server

ROOT = Path(__file__).parents[1]
NAMES = ROOT / "data" / "names.txt"
COMMAND = [sys.executable, "flows/generate.py"]
NAMEGEN = [sys.executable, "-m", "namegen"]
KNESER_NEY = ["--model", "kneser-ney", "--no-report"]  # fitted in a fraction of a second

# No test asserts a time. On a build server the examples are the same every time; elsewhere each run tries new ones.
settings.register_profile(
    "namegen",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    derandomize="CI" in os.environ,
)
settings.load_profile("namegen")


@pytest.fixture(autouse=True)
def _shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """What namegen logs reaches `caplog`, also after a run of the flow in this process."""
    monkeypatch.setattr(logging.getLogger("namegen"), "propagate", True)


@pytest.fixture(scope="session")
def names() -> Corpus:
    """The project's own list."""
    return read_corpus(NAMES)


@pytest.fixture(scope="session")
def makemore() -> Corpus:
    """The notebook's own list, which is not part of the project."""
    path = os.environ.get("NAMEGEN_MAKEMORE_NAMES")
    if not path:
        pytest.skip("set NAMEGEN_MAKEMORE_NAMES to the notebook's names.txt to run this test")
    return read_corpus(path)


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with a fresh Prefect, and without a server to talk to."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**kept, "PREFECT_HOME": str(tmp_path_factory.mktemp("prefect"))}


@pytest.fixture(scope="session")
def first_output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `first` has its model and its names."""
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="session")
def output(first_output: Path) -> Path:
    """The same, where a module has none of its own."""
    return first_output


def run(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    """The real command."""
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def inside(capsysbinary: pytest.CaptureFixture[bytes], *arguments: object, code: int = 0) -> bytes:
    """`namegen` in this process: its stdout, or what it says on stderr."""
    assert main([*map(str, arguments)]) == code
    said = capsysbinary.readouterr()
    assert (said.out if code else said.err) == b""
    return said.err if code else said.out


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line on stderr with which the arguments are refused, with exit code 2."""
    with pytest.raises(SystemExit) as caught:
        command_line.begin([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert (caught.value.code, out) == (2, "")
    assert err.count("\n") == 1
    assert err[:-1].isprintable()
    return err


@pytest.fixture(scope="session", autouse=True)
def under_way(
    request: pytest.FixtureRequest, environment: dict[str, str], first_output: Path
) -> Iterator[subprocess.Popen[str] | None]:
    """The process of `first`, where a test asks for it: it begins with the session, as it mostly waits for Prefect."""
    if not any({"first", "server"} & set(getattr(item, "fixturenames", ())) for item in request.session.items):
        yield None
        return
    unkind = {
        "ALL_PROXY": "socks://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "NUMBA_DISABLE_JIT": "1",
        "PREFECT_SERVER_API_AUTH_STRING": "a:b",
        "PYTHONIOENCODING": "ascii",
    }
    command = [*COMMAND, *KNESER_NEY, "--count", "5000", "--output", str(first_output)]
    kept: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env={**environment, **unkind}, **kept) as process:
        yield process
        process.kill()


@pytest.fixture(scope="session")
def first(under_way: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """The first run of all, on a fresh Prefect database, in surroundings that are as unkind as they can be."""
    out, err = under_way.communicate(timeout=120)
    return subprocess.CompletedProcess(under_way.args, under_way.returncode, out, err)


@pytest.fixture(scope="session")
def server(
    environment: dict[str, str],
    first: subprocess.CompletedProcess[str],  # noqa: ARG001 - which has made the database
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """A real `prefect server start`, on a database that is already there."""
    with start_server(environment, tmp_path_factory.mktemp("server")) as started:
        yield started.url


@pytest.fixture(scope="session")
def prefect_server(server: str) -> Iterator[None]:
    """The same, for flows that run in this process, which do not wait for a heartbeat as they end."""
    with temporary_settings({PREFECT_API_URL: server, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield
        APILogWorker.instance().drain()


@pytest.fixture(scope="session")
def made(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Made:  # noqa: ARG001 - only has to be there
    """A run of the flow with 20,000 names and otherwise the defaults."""
    return generate(count=20_000, names=str(NAMES), output=str(tmp_path_factory.mktemp("made")))


@pytest.fixture(scope="session")
def automaton() -> Automaton:
    """The automaton of the notebook's first model."""
    counts = notebook_counts()
    return quantise(bigram.fit(counts), counts)


@pytest.fixture(scope="session")
def model(automaton: Automaton) -> Model:
    """The same, as users hold it."""
    return Model(automaton)


def table_nll(names: Sequence[str], probabilities: NDArray[np.float64], contexts: Contexts) -> float:
    """The NLL of names by a model's table, nats per symbol."""
    return nll(names, walk(names, contexts.vocabulary, contexts.successor, ln(probabilities)))[1]


def attempt(**given: Any) -> State[Any]:  # noqa: ANN401 - the flow's parameters
    """The state in which a run of the flow ends."""
    run: Any = generate
    state: State[Any] = run(**given, return_state=True)
    return state


def on_disk(path: Location) -> Path:
    """A place that is known to be none in a store."""
    assert isinstance(path, Path)
    return path


def rewrite(folder: Path, kind: type[Manifest], **changes: Any) -> None:  # noqa: ANN401 - JSON
    """Changes the manifest of a folder, and its copy, and gives both the checksum that belongs to them."""
    manifest = open_manifest(folder, kind).sound()
    assert manifest
    for copy in (False, True)[: 1 + (kind is DatasetManifest)]:
        write_manifest(folder, manifest.model_copy(update=changes), copy=copy)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--times N`: the tests that try random damage try N times as much."""
    parser.addoption("--times", type=int, default=1, help="how many times as much random damage is tried")


@pytest.fixture(scope="session")
def times(request: pytest.FixtureRequest) -> int:
    """How many times as much random damage is tried."""
    return int(request.config.getoption("--times"))
