"""The real command in a fresh process, and every way to use it wrongly."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

import command_line
import namegen
import progress
from conftest import COMMAND, KNESER_NEY, NAMES, ROOT, rewrite, run
from namegen.corpus import Corpus
from namegen.dataset import DatasetManifest, dataset_folder
from namegen.manifests import read_manifest
from namegen.model_folder import ModelManifest, model_name
from parameters import PARAMETERS, chosen_preset, find_model
from servers import call, needs_proc, processes_with, wait_until


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
    assert namegen.load(lines[-2]).order == 6
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
    parts = sorted(tmp_path.rglob("*.parquet"))
    parts = [part for part in parts if part.name.startswith("part-")]
    assert len(parts) >= 1
    for part in parts:  # several are made at once, so that one may lack its forerunner
        first = int(part.stem.removeprefix("part-")) * 2**20
        assert (pl.read_parquet(part)["index"] == pl.arange(first, first + 2**20, eager=True)).all()


@pytest.mark.usefixtures("first")
def test_two_at_once(environment: dict[str, str], server: str, tmp_path: Path) -> None:
    """Two commands that want the same model and names, at the same time: both succeed, and each file is made once."""
    command = [*COMMAND, *KNESER_NEY, "--count", "2000000", "--output", str(tmp_path)]
    own = {**environment, "PREFECT_API_URL": server}
    both = [subprocess.Popen(command, cwd=ROOT, env=own, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    logs = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], logs
    assert sorted("Wrote 2 of 2 parts" in log for log in logs) == [False, True]
    assert sum("Trained on" in log for log in logs) == 1
    (folder,) = tmp_path.glob("names/*/*")
    assert namegen.verify(folder) == []
    assert not list(tmp_path.rglob("*.tmp"))
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
    assert "namegen.cpu_kernel" in imported
    assert "torch" not in imported
    newest = {"sort": "EXPECTED_START_TIME_DESC", "limit": 1}
    (flow_run,) = call(f"{server}/flow_runs/filter", newest)
    assert flow_run["state"]["type"] == "COMPLETED"
    assert flow_run["parameters"]["count"] == 6000
    of_run = {"flow_runs": {"id": {"any_": [flow_run["id"]]}}}
    assert wait_until(lambda: len(call(f"{server}/task_runs/filter", of_run)) == 3, 20)
    tasks = call(f"{server}/task_runs/filter", of_run)
    assert {task["name"].rpartition("-")[0] for task in tasks} == {"ingest", "sample", "publish"}
    artifacts = call(f"{server}/artifacts/filter", of_run)
    assert {artifact["key"] for artifact in artifacts} == {"evaluation", "data-set"}
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
    assert log.splitlines()[-1] == f"generate.py: {word}; the same command goes on from here"
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
    """A limit on the size of files, as a quota has: one line, nothing half-written, and the same bytes later."""
    shutil.copytree(output / "models", tmp_path / "models")
    command = [*COMMAND, *KNESER_NEY, "--count", "1500000", "--output", str(tmp_path)]
    own = {**environment, "PREFECT_API_URL": server}
    limited = ["bash", "-c", 'ulimit -f 9000; exec "$@"', "-", *command]  # kB: a whole part has more, the last has less
    done = subprocess.run(limited, cwd=ROOT, env=own, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1] == "generate.py: failed: [Errno 27] File too large"
    (names,) = tmp_path.glob("names/*/*")
    assert {file.name for file in names.iterdir()} <= {".lock", "_journal-000000.jsonl", "part-000001.parquet"}
    assert run(own, *command[2:]).returncode == 0
    assert namegen.verify(names, deep=True) == []


def test_help_needs_no_readme(capsys: pytest.CaptureFixture[str]) -> None:
    """Every parameter with its meaning and default, examples, what is printed, and the exit codes."""
    with pytest.raises(SystemExit) as caught:
        command_line.parse(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for name, (_, default) in PARAMETERS.items():
        assert f"--{name} " in text
        assert default is None or f"(default: {default})" in " ".join(text.split())
    for word in (
        "examples:",
        "exit status:",
        "stderr",
        "PREFECT_API_URL",
        "read_parquet",
        "{bigram,neural-bigram,kneser-ney,mlp,blend}",
    ):
        assert word in text


def test_defaults_are_those_of_the_flow() -> None:
    assert command_line.parse([]) == {name: default for name, (_, default) in PARAMETERS.items()}


def test_arguments_have_their_types() -> None:
    parsed = command_line.parse(["--count", "7", "--seed", str(2**64 - 1), "--holdout", "0", "--model", "bigram"])
    assert (parsed["count"], parsed["seed"], parsed["holdout"]) == (7, 2**64 - 1, 0.0)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line on stderr with which the arguments are refused, with exit code 2."""
    with pytest.raises(SystemExit) as caught:
        command_line.begin([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert (caught.value.code, out) == (2, "")
    assert err.count("\n") == 1
    assert err[:-1].isprintable()
    return err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--count", "0"], ["--count", "greater than or equal to 1", "'0'"]),
        (["--count", "-5"], ["--count", "greater than or equal to 1"]),
        (["--count", "many"], ["--count", "integer", "'many'"]),
        (["--count", "1.5"], ["--count", "integer"]),
        (["--count", str(2**63 + 1)], ["--count", "less than or equal to"]),
        (["--seed", "-1"], ["--seed", "greater than or equal to 0"]),
        (["--seed", str(2**64)], ["--seed", "less than or equal to 18446744073709551615"]),
        (["--seed", "x\x1b[31m"], ["--seed", "integer"]),
        (["--model", "gpt"], ["--model", "'bigram', 'neural-bigram', 'kneser-ney', 'mlp' or 'blend'"]),
        (["--device", "tpu"], ["--device", "'auto', 'cpu', 'cuda' or 'mps'"]),
        (["--holdout", "1"], ["--holdout", "less than 1"]),
        (["--holdout", "nan"], ["--holdout"]),
        (["--order", "1"], ["--order", "greater than or equal to 2"]),
        (["--order", "67"], ["--order", "less than or equal to 66"]),
        (["--states", "-1"], ["--states", "greater than or equal to 0"]),
        (["--workers", "0"], ["--workers", "greater than or equal to 1"]),
        (["--preset", "huge"], ["--preset", "'quick', 'default' or 'best'"]),
        (["--names", ""], ["--names"]),
        (["--output", "out\x1b[31m"], ["--output", "control characters"]),
        (["--output", "out\n"], ["--output", "control characters"]),
        (["--coutn", "7"], ["--coutn", "--help"]),
        (["names.txt"], ["names.txt", "--help"]),
        (["--count"], ["--count", "--help"]),
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]) -> None:
    """Exit 2 and one line that names the argument and the rule."""
    line = refusal(capsys, *arguments)
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, ["no such file"]),
        (b"", ["no names"]),
        (b"emma\n\xff\n", ["line 2", "byte 1", "not UTF-8"]),
        (b"emma\nz\x1b[31moe\n", ["line 2", "U+001B"]),
        (b"emma\nst. john\n", ["line 2", "'.'"]),
        (b"a" * 65, ["line 1", "65 characters"]),
        ("\n".join(chr(0x4E00 + i) for i in range(256)).encode(), ["line 256", "256 different characters"]),
        (b"emma\nava\nzoe\n", ["3 names are too few", "--holdout 0"]),
    ],
)
def test_names_that_cannot_be_used(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, data: bytes | None, words: list[str]
) -> None:
    """Exit 2 and one line with file, line and remedy; nothing is made."""
    path = tmp_path / "names.txt"
    if data is not None:
        path.write_bytes(data)
    line = refusal(capsys, "--names", path, "--output", tmp_path / "out")
    assert all(word in line for word in words), line
    assert not (tmp_path / "out").exists()


def test_a_folder_as_names(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "is a folder" in refusal(capsys, "--names", tmp_path)


def test_an_order_that_is_too_high_for_added_states(capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, "--names", NAMES, "--model", "blend", "--order", "14")
    assert "--order 13 or less" in line


def test_an_order_that_is_too_high_for_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, "--names", NAMES, "--model", "kneser-ney", "--order", "20")
    assert "the longest name has 15 characters" in line
    assert "--order 17 or less" in line


def test_an_output_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot be written" in refusal(capsys, "--names", NAMES, "--output", "/dev/null/x")


def test_a_disk_without_room(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """More names than any disk holds are refused before anything is fitted."""
    line = refusal(capsys, "--names", NAMES, "--output", tmp_path, "--count", 2**60)
    assert "of room left, and 1,152,921,504,606,846,976 names need some 16.3 EB" in line
    assert not list(tmp_path.glob("models/*/*"))


def test_a_data_set_of_a_newer_version(capsys: pytest.CaptureFixture[str], tmp_path: Path, names: Corpus) -> None:
    """It is found before a model is fitted, also where the model is gone."""
    preset = chosen_preset(names, "kneser-ney", "default", None, None)
    model = find_model(names, "kneser-ney", preset, 0.2, str(tmp_path))
    folder = dataset_folder(tmp_path, model.path.name, 42)
    folder.mkdir(parents=True)
    (folder / "_manifest.json").write_text('{"format_version": 2}')
    assert "Upgrade namegen" in refusal(capsys, *KNESER_NEY, "--names", NAMES, "--output", tmp_path)


def test_a_device_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """No machine has both CUDA and MPS."""
    import torch

    absent = "mps" if torch.cuda.is_available() else "cuda"
    assert f"device '{absent}' is not there" in refusal(capsys, "--names", NAMES, "--device", absent)


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("damage", ["cut", "flip", "newer", "missing", "table", "manifest", "data set"])
def test_what_lies_there_is_damaged(
    capsys: pytest.CaptureFixture[str], output: Path, tmp_path: Path, damage: str
) -> None:
    """A model or manifest that is cut short, altered, gone, or of a newer version: exit 2, nothing touched."""
    shutil.copytree(output, tmp_path, dirs_exist_ok=True)
    (file,) = tmp_path.glob("models/*/automaton.safetensors")
    data = file.read_bytes()
    word = "emove"
    if damage == "cut":
        file.write_bytes(data[:-1])
    elif damage == "flip":
        file.write_bytes(data[:-9] + bytes([data[-9] ^ 4]) + data[-8:])
    elif damage == "newer":
        file.write_bytes(data.replace(b'\\"format_version\\": 1', b'\\"format_version\\": 2'))
        assert file.read_bytes() != data
        word = "Upgrade"
    elif damage == "missing":
        file.unlink()
    elif damage == "table":
        file.with_name("bigrams.parquet").write_bytes(b"")
    elif damage == "manifest":
        file.with_name("manifest.json").write_text("{")
    else:
        (manifest,) = tmp_path.rglob("_manifest.json")
        manifest.write_text(manifest.read_text().replace('"format_version": 1', '"format_version": 2'))
        word = "Upgrade"
    before = {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()}
    line = refusal(capsys, *KNESER_NEY, "--names", NAMES, "--output", tmp_path)
    assert str(tmp_path) in line
    assert word in line or damage == "missing"
    assert {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()} == before


def test_refusals_of_a_fresh_process(environment: dict[str, str], tmp_path: Path) -> None:
    """The real command answers bad input with exit 2, one line, and no server."""
    done = run(environment, "--names", tmp_path / "none.txt")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "no such file" in done.stderr


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("damage", ["another model", "another stream", "another automaton", "other files"])
def test_what_lies_there_is_of_something_else(
    capsys: pytest.CaptureFixture[str], output: Path, tmp_path: Path, damage: str
) -> None:
    """Manifests that are whole, and do not fit what they lie with."""
    shutil.copytree(output, tmp_path, dirs_exist_ok=True)
    (model,) = tmp_path.glob("models/*/manifest.json")
    (names,) = tmp_path.rglob("_manifest.json")
    own = read_manifest(model, ModelManifest)
    assert own
    if damage == "another model":
        configuration = {**own.configuration, "order": 5}
        rewrite(model, ModelManifest, configuration=configuration, model=model_name(configuration))
    elif damage == "other files":
        rewrite(model, ModelManifest, files={**own.files, "../bigrams.parquet": ""})
    elif damage == "another automaton":
        rewrite(model, ModelManifest, automaton_sha256="0" * 64)
    else:
        rewrite(names, DatasetManifest, stream={"seed": 43})
    assert "emove" in refusal(capsys, *KNESER_NEY, "--names", NAMES, "--output", tmp_path, "--count", 9000)


@pytest.mark.parametrize("named_by", ["variable", "profile"])
def test_a_server_that_does_not_answer(environment: dict[str, str], tmp_path: Path, named_by: str) -> None:
    """Exit 1 and a line with the address and the way out, also where a profile of Prefect's names the server."""
    nobody = "http://127.0.0.1:9/api"
    own = {**environment, "PREFECT_HOME": str(tmp_path / "prefect")}
    if named_by == "variable":
        own["PREFECT_API_URL"] = nobody
    else:
        (tmp_path / "prefect").mkdir()
        profile = f'active = "team"\n[profiles.team]\nPREFECT_API_URL = "{nobody}"\n'
        (tmp_path / "prefect" / "profiles.toml").write_text(profile)
    done = run(own, "--count", 5, "--output", tmp_path)
    assert done.returncode == 1
    assert f"the Prefect server at {nobody}/ does not answer" in done.stderr
    assert "unset PREFECT_API_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_progress_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quiet lines, one every few seconds."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    lines: list[str] = []
    with progress.progress(2000, "Sampling", lines.append) as advance:
        advance(500)
    assert lines == []
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with progress.progress(2000, "Sampling", lines.append) as advance:
        advance(500)
        advance(1000)
    pattern = r"Sampling: (500|1,500) of 2,000, [\d,.]+ a second, [\d,]+ s left"
    assert [re.fullmatch(pattern, line) is not None for line in lines] == [True, True]


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar with the count, which is gone at the end."""
    ours, theirs = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress.progress(2000, "Sampling", pytest.fail) as advance:
            advance(1500)
            time.sleep(0.3)
        terminal.flush()
        text = os.read(ours, 65536).decode()
    os.close(ours)
    assert "Sampling" in text
    assert "1500/2000" in text
