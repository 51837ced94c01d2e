"""`namegen` and what it is connected to: terminals wide and narrow, closed streams, readers that have enough."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import namegen
import tiny
from conftest import NAMEGEN, ROOT, inside, on_disk
from namegen.commands.sample import FEW

needs_script = pytest.mark.skipif(not shutil.which("script"), reason="needs script, for a terminal")


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and a data set."""
    output = tmp_path_factory.mktemp("terminal") / "o"
    tiny.job(output)
    return output


@needs_script
@pytest.mark.parametrize("arguments", [["explain", "mia"], ["sample", "--count", str(FEW + 1), "--format", "names"]])
def test_on_a_terminal(output: Path, arguments: list[str]) -> None:
    """Tables have colour where it is wanted, and nothing else has: compiled code is none the wiser."""
    name, *others = arguments
    shell = f"COLUMNS=60 {' '.join([*NAMEGEN, name, str(output), *others])}"
    shown = {}
    for colour in ("", "1"):
        environment = {**os.environ, "NO_COLOR": colour, "TERM": "xterm-256color"}
        command = ["script", "-qec", shell, "/dev/null"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
        shown[colour] = done.stdout.decode()
    assert ("\x1b" in shown[""], "\x1b" in shown["1"]) == (name == "explain", False)
    assert max(map(len, shown["1"].partition("\r\n\r\n")[0].splitlines())) <= 60


@pytest.mark.parametrize("columns", [40, 1])
def test_a_narrow_terminal(
    output: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """Nothing is left out or broken: where a table has no room, each row is lines of its own."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = inside(capsysbinary, "inspect", output).decode()
    for key, value in json.loads(inside(capsysbinary, "inspect", output, "--json"))["figures"].items():
        assert f"figures.{key}: {value}\n" in shown
    first = 9 * 10**18
    shown = inside(capsysbinary, "sample", output, "--count", 1, "--first", first).decode()
    row = inside(capsysbinary, "sample", output, "--count", 1, "--first", first, "--format", "jsonl")
    assert all(str(value) in shown for value in json.loads(row).values())
    shown = inside(capsysbinary, "explain", output, "mia").decode()
    steps = namegen.load(on_disk(tiny.place(output).path)).explain("mia")
    for step in steps.iter_rows(named=True):
        assert f"p: {step['probability']:.4g}\n" in shown
        assert all(f"{other['symbol']}={other['probability']:.2g}" in shown for other in step["alternatives"])


def test_many_rows_are_no_table(
    output: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even on a terminal: a table waits for its last row."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert inside(capsysbinary, "sample", output, "--count", 10_001).startswith(b"index,name,log_prob,is_novel\n")
    said = inside(capsysbinary, "sample", output, "--count", 10**15, "--format", "table", code=2)
    assert b"at most 10,000 rows. Choose --format csv" in said


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("score OUTPUT <&-", 2, "stdin: is closed. Name a file"),
        ("sample OUTPUT >&-", 1, "stdout is closed"),
        ("--help >&-", 1, "stdout is closed"),
        ("sample OUTPUT --count 1 2>&-", 0, ""),
        ("sample OUTPUT --seed x 2>&-", 2, ""),
    ],
)
def test_closed_streams(output: Path, command: str, code: int, says: str) -> None:
    """A line, where there is somewhere to say it."""
    by_bash = ["bash", "-c", f"{' '.join(NAMEGEN)} {command}".replace("OUTPUT", str(output))]
    done = subprocess.run(by_bash, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (code, int(bool(says)))
    assert says in done.stderr
    assert "Traceback" not in done.stdout


@needs_script
def test_bytes_are_not_for_a_terminal(output: Path) -> None:
    for form in ("parquet", "arrow"):
        command = ["script", "-qec", f"{' '.join(NAMEGEN)} sample {output} --format {form}", "/dev/null"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        assert done.returncode == 2
        assert b"this format is binary, and stdout is a terminal. Send it to a file" in done.stdout


def test_a_reader_that_has_enough(output: Path) -> None:
    """A closed pipe is no traceback, whatever is written."""
    command = ["bash", "-c", '"$@" | head -n 1', "-", *NAMEGEN, "sample", str(output), "--count", "300000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("index,name,log_prob,is_novel\n", "")
