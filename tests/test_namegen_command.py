"""`namegen` as a command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tiny
from conftest import NAMEGEN, ROOT
from namegen import verify
from namegen.commands.main import main


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and a data set of a single part, so that a fresh process can look at it."""
    output = tmp_path_factory.mktemp("whole") / "o"
    tiny.job(output)
    return output


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*NAMEGEN, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_verify_in_a_fresh_process(whole: Path, tmp_path: Path) -> None:
    """Exit 0 and nothing on stdout; 1 and a line for each fault; 0 again when they are mended."""
    output = Path(shutil.copytree(whole, tmp_path / "o\x1b[31m"))
    done = run("verify", output, "--deep")
    assert (done.returncode, done.stdout) == (0, "")
    assert "900 names in 1 part, every row compared with the model" in done.stderr
    (part,) = output.rglob("part-*.parquet")
    part.write_bytes(part.read_bytes()[:-1])
    done = run("verify", output)
    assert done.returncode == 1
    assert done.stdout.count("\n") == 1
    assert "was altered" in done.stdout
    assert "namegen verify --repair" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    done = run("verify", output, "--repair", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert tiny.tree(output) == tiny.tree(whole)


def test_verify_imports_little(whole: Path) -> None:
    """Neither torch, polars nor Prefect."""
    program = f"""
import sys
from namegen import verify
from namegen.commands.main import main
code = main(["verify", {str(whole)!r}, "--quiet"])
print(code, sorted({{"torch", "polars", "prefect", "pandas"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "0 []\n"


@pytest.mark.parametrize("arguments", [["verify"], ["verify", "a", "b"], ["mend", "a"], ["verify", "a", "--dep"]])
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A line on stderr, and where to read more."""
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "--help)" in said.err


def test_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The help, on stderr."""
    assert main([]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "explain  Explain the probability of a name." in said.err


def test_paths_that_no_terminal_can_show() -> None:
    """Too long, with a null character, or beyond the terminal's encoding: a line."""
    for folder in ("a" * 300, "nö"):
        command, environment = [*NAMEGEN, "verify", folder], {**os.environ, "PYTHONIOENCODING": "ascii"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert "there is no such folder" in done.stderr
    assert "there is no such folder" in verify("a\0b")[0]


def test_a_folder_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Bad usage, and not a fault that was found."""
    assert main(["verify", "no\nsuch folder"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.startswith("namegen: error: no\\nsuch folder: there is no such folder")) == ("", True)


def test_a_reader_that_has_enough(tmp_path: Path, whole: Path) -> None:
    """A pipe that is closed is no traceback."""
    shutil.copytree(whole, tmp_path / "o")
    for file in (tmp_path / "o").rglob("*.parquet"):
        file.write_bytes(b"")
    command = ["bash", "-c", '"$@" | true', "-", *NAMEGEN, "verify", "--quiet", str(tmp_path / "o")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert "Traceback" not in done.stderr
