"""The real command in a fresh process, its arguments, and how it is killed, ended and shown."""

from __future__ import annotations

import logging
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import command_line
import namegen
from conftest import COMMAND, KNESER_NEY, ROOT, run
from namegen import progress
from namegen.outputs.layout import record_folder
from namegen.parameters import DEFAULT, types
from servers import call, needs_proc, processes_with, tasks_of, wait_until


def processes_of(environment: dict[str, str]) -> list[str]:
    """The command lines of all processes that run with this environment's Prefect, but for the lasting server."""
    found = processes_with(environment["PREFECT_HOME"]).values()
    return [command for command in found if "prefect server start" not in command]


def test_the_command(first: subprocess.CompletedProcess[str]) -> None:
    """Exit 0; the evaluation and the folder on stdout, plain lines on stderr."""
    assert first.returncode == 0, first.stderr
    lines = first.stdout.splitlines()
    assert lines[0].startswith("NLL in nats")
    folder = Path(lines[-1])
    assert namegen.load(lines[-2]).automaton.order == 6
    assert pl.read_parquet(folder / "*.parquet").height == 5000
    assert namegen.verify(folder) == []
    assert "32,257 names" in first.stderr
    assert "Traceback" not in first.stderr
    assert "ERROR" not in first.stderr
    assert "View at" not in first.stderr  # a server without an interface
    assert "\x1b" not in first.stderr


@needs_proc
@pytest.mark.usefixtures("first")
def test_the_temporary_server_ends_with_the_command(environment: dict[str, str]) -> None:
    assert wait_until(lambda: not processes_of(environment), 5)


@needs_proc
@pytest.mark.usefixtures("first")
def test_kill_9_leaves_no_server_and_only_whole_parts(
    environment: dict[str, str], output: Path, tmp_path: Path
) -> None:
    """Killed while it writes, it leaves parts that can be read, and no process."""
    shutil.copytree(output / "models", tmp_path / "models")
    command = [*COMMAND, *KNESER_NEY, "--count", "100000000", "--output", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as process:
        assert wait_until(lambda: any(tmp_path.rglob("part-000001.parquet")), 60)
        assert any("temporary_server" in line for line in processes_of(environment))
        process.send_signal(signal.SIGKILL)
    assert wait_until(lambda: not processes_of(environment), 5), processes_of(environment)
    parts = [file for file in (tmp_path / "names").rglob("*") if file.is_file()]
    assert len(parts) >= 1
    for part in parts:  # several are made at once, so that one may lack its forerunner
        first = int(part.stem.removeprefix("part-")) * 2**20
        assert (pl.read_parquet(part)["index"] == pl.arange(first, first + 2**20, eager=True)).all()


@pytest.mark.usefixtures("first")
def test_two_at_once(environment: dict[str, str], tmp_path: Path) -> None:
    """Two commands that want the same model and names, at the same time: both succeed, and each file is made once.

    They want the same database of Prefect, too, which is not there yet.
    """
    command = [*COMMAND, *KNESER_NEY, "--count", "2000000", "--output", str(tmp_path)]
    own = {**environment, "PREFECT_HOME": str(tmp_path / "prefect")}
    both = [subprocess.Popen(command, cwd=ROOT, env=own, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    logs = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], logs
    assert sorted("Wrote 2 of 2 parts" in log for log in logs) == [False, True]
    assert sum("Trained on" in log for log in logs) == 1
    (folder,) = tmp_path.glob("names/*/*")
    assert namegen.verify(folder) == []
    assert not list(tmp_path.rglob("*.tmp"))
    assert not [line for log in logs for line in log.splitlines() if line.startswith("generate.py:")]
    drawn = pl.read_parquet(folder / "*.parquet")
    assert (drawn["index"] == pl.arange(2_000_000, eager=True)).all()


@pytest.mark.usefixtures("first")
def test_on_a_real_server(environment: dict[str, str], server: str, output: Path) -> None:
    """With PREFECT_API_URL set the run, its tasks, logs and artifacts are on that server, and no other starts.

    The model is there already, so nothing imports torch.
    """
    own = {**environment, "PREFECT_API_URL": server, "PYTHONPROFILEIMPORTTIME": "1"}
    done = run(own, *KNESER_NEY, "--count", 6000, "--output", output, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    imported = set(re.findall(r"^import time:.*\| +(\S+)$", done.stderr, re.MULTILINE))
    assert "namegen.sampling.kernel" in imported
    assert "torch" not in imported
    newest = {"sort": "EXPECTED_START_TIME_DESC", "limit": 1}
    (flow_run,) = call(f"{server}/flow_runs/filter", newest)
    assert flow_run["state"]["type"] == "COMPLETED"
    assert flow_run["parameters"]["count"] == 6000
    of_run = {"flow_runs": {"id": {"any_": [flow_run["id"]]}}}
    tasks = tasks_of(server, flow_run["id"], 3)
    assert {task["name"].rpartition("-")[0] for task in tasks} == {"plan", "sample", "publish"}
    artifacts = call(f"{server}/artifacts/filter", of_run)
    assert {artifact["key"] for artifact in artifacts} == {"evaluation", "data-set"}
    (names,) = (output / "names").glob("*/*")

    def finished() -> list[dict[str, Any]]:
        wanted = {"filter": {"event": {"name": ["namegen.dataset.finished"]}}}
        events: list[dict[str, Any]] = call(f"{server}/events/filter", wanted)["events"]
        return [
            event for event in events if event["payload"]["path"] == str(names) and event["payload"]["rows"] == 6000
        ]

    assert wait_until(lambda: bool(finished()), 30)
    assert Path(finished()[0]["payload"]["manifest"]).is_file()
    assert finished()[0]["resource"]["prefect.resource.id"] == f"namegen.dataset.{names.parent.name[6:]}.seed-42"
    logs = call(f"{server}/logs/filter", {"logs": {"flow_run_id": {"any_": [flow_run["id"]]}}, "limit": 200})
    assert any("32,257 names" in line["message"] for line in logs)


@pytest.mark.parametrize(
    ("sent", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_job_that_is_asked_to_end(
    environment: dict[str, str], server: str, output: Path, tmp_path: Path, sent: signal.Signals, code: int, word: str
) -> None:
    """It says in a line how to go on, the server knows that it has ended, and what was finished is kept."""
    shutil.copytree(output / "models", tmp_path / "models")
    command = [*COMMAND, *KNESER_NEY, "--output", str(tmp_path), "--count"]
    own = {**environment, "PREFECT_API_URL": server}
    with subprocess.Popen([*command, "100000000"], cwd=ROOT, env=own, stderr=subprocess.PIPE, text=True) as process:
        assert wait_until(lambda: any(tmp_path.rglob("part-000001.parquet")), 60)
        process.send_signal(sent)
        log = process.communicate(timeout=60)[1]
    assert process.returncode == code, log
    assert log.splitlines()[-1] == f"generate.py: {word}; the same command resumes the job"
    (flow_run,) = call(f"{server}/flow_runs/filter", {"sort": "EXPECTED_START_TIME_DESC", "limit": 1})
    assert flow_run["state"]["type"] in {"CRASHED", "CANCELLED"}
    assert not list(tmp_path.rglob("*.tmp"))
    (names,) = tmp_path.glob("names/*/*")
    assert any("is unfinished" in problem for problem in namegen.verify(names))
    if sent == signal.SIGTERM:
        parts = len(list(names.glob("part-*.parquet")))
        done = run(own, *KNESER_NEY, "--output", tmp_path, "--count", parts * 2**20)
        assert "Nothing to do" in done.stderr, done.stderr  # but to write the manifest
        assert namegen.verify(names) == []


@needs_proc
@pytest.mark.usefixtures("first")
def test_a_job_that_is_terminated_takes_its_server_along(
    environment: dict[str, str], output: Path, tmp_path: Path
) -> None:
    """Where it had only begun to import; while names are made it is asked above, and killed."""
    shutil.copytree(output / "models", tmp_path / "models")
    command = [*COMMAND, *KNESER_NEY, "--count", "100000000", "--output", str(tmp_path)]
    for sent, seconds in ((signal.SIGTERM, 0.8), (signal.SIGINT, 0.2)):
        with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
            time.sleep(seconds)
            process.send_signal(sent)
            log = process.communicate(timeout=60)[1]
        assert process.returncode in {143, 130, -signal.SIGTERM, -signal.SIGINT}, log
        assert "Traceback" not in log
        assert wait_until(lambda: not processes_of(environment), 8), processes_of(environment)


@pytest.mark.usefixtures("first")
def test_a_file_that_cannot_grow(environment: dict[str, str], server: str, output: Path, tmp_path: Path) -> None:
    """A limit on the size of files, as a quota has: one line, nothing half-written, and the same bytes later.

    Then nobody listens: stdin and stderr are closed.
    """
    shutil.copytree(output / "models", tmp_path / "models")
    command = [*COMMAND, *KNESER_NEY, "--count", "1500000", "--output", str(tmp_path)]
    own = {**environment, "PREFECT_API_URL": server}
    limited = ["bash", "-c", 'ulimit -f 9000; exec "$@"', "-", *command]  # kB: a whole part has more, the last has less
    done = subprocess.run(limited, cwd=ROOT, env=own, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1] == "generate.py: failed: [Errno 27] File too large"
    (names,) = tmp_path.glob("names/*/*")
    assert {file.name for file in names.iterdir()} <= {"part-000001.parquet"}
    assert {file.name for file in record_folder(names).iterdir()} == {".lock", "journal-000000.jsonl"}
    deaf = ["sh", "-c", 'exec "$@" <&- 2>&-', "-", *command]
    assert subprocess.run(deaf, cwd=ROOT, env=own, capture_output=True, timeout=120, check=False).returncode == 0
    assert namegen.verify(names, deep=True) == []


def test_help_needs_no_readme(capsys: pytest.CaptureFixture[str]) -> None:
    """Every parameter with its meaning and default, examples, what is printed, and the exit codes."""
    with pytest.raises(SystemExit) as caught:
        command_line.parse(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for name in types():
        default = getattr(DEFAULT, name)
        option = name.replace("_", "-")
        assert re.search(f"--{option}[ /]", text)
        shown = {True: "on", False: "off"}[default] if isinstance(default, bool) else default
        assert default is None or f"(default: {shown})" in " ".join(text.split())
    for word in (
        "examples:",
        "exit status:",
        "stderr",
        "PREFECT_API_URL",
        "read_parquet",
        "{bigram,neural-bigram,kneser-ney,mlp,gru,transformer,blend}",
    ):
        assert word in text


def test_defaults_are_those_of_the_flow() -> None:
    assert command_line.parse([]) == DEFAULT


def test_arguments_have_their_types() -> None:
    parsed = command_line.parse(["--count", "7", "--seed", str(2**64 - 1), "--holdout", "0", "--model", "bigram"])
    assert (parsed.count, parsed.seed, parsed.holdout) == (7, 2**64 - 1, 0.0)


def test_refusals_of_a_fresh_process(environment: dict[str, str], tmp_path: Path) -> None:
    """The real command answers bad input with exit 2, one line, and no server."""
    done = run(environment, "--names", tmp_path / "none.txt")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "no such file" in done.stderr


def test_a_server_that_does_not_answer(environment: dict[str, str], tmp_path: Path) -> None:
    """Exit 1 and a line with the address and the way out, also where a profile of Prefect's names the server."""
    nobody = "http://127.0.0.1:9/api"
    (tmp_path / "profile").mkdir()
    profile = f'active = "team"\n[profiles.team]\nPREFECT_API_URL = "{nobody}"\n'
    (tmp_path / "profile" / "profiles.toml").write_text(profile)
    named_by = [
        {"PREFECT_HOME": str(tmp_path / "variable"), "PREFECT_API_URL": nobody},
        {"PREFECT_HOME": str(tmp_path / "profile")},
    ]
    with ThreadPoolExecutor() as pool:
        both = [pool.submit(run, {**environment, **own}, "--count", 5, "--output", tmp_path) for own in named_by]
        for done in (each.result() for each in both):
            assert done.returncode == 1
            assert f"the Prefect server at {nobody}/ does not answer" in done.stderr
            assert "unset PREFECT_API_URL" in done.stderr
            assert "Traceback" not in done.stderr


def test_progress_without_a_terminal(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Quiet lines, one every few seconds."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    caplog.set_level(logging.INFO, "namegen")
    percentages: list[float] = []
    with progress.progress(2000, "Sampling", on_line=percentages.append) as advance:
        advance(500)
    assert caplog.messages == []
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with progress.progress(2000, "Sampling", on_line=percentages.append) as advance:
        advance(500)
        advance(1000)
    pattern = r"Sampling: (500|1,500) of 2,000, [\d,.]+ per second, [\d,]+ s left"
    assert [re.fullmatch(pattern, line) is not None for line in caplog.messages] == [True, True]
    assert percentages == [25, 75, 100]


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar with the count, which is gone at the end."""
    ours, theirs = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress.progress(2000, "Sampling") as advance:
            advance(1500)
            time.sleep(0.3)
        terminal.flush()
        text = os.read(ours, 65536).decode()
    os.close(ours)
    assert "Sampling" in text
    assert "1500/2000" in text
