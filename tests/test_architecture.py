"""The house stands: what may import what, and what must not be imported early."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from conftest import ROOT


def test_the_contracts_are_kept() -> None:
    """Layers, no circles, and who may know whom: the contracts of pyproject.toml."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "7 kept, 0 broken" in done.stdout


def test_each_folder_is_said_in_one_sentence() -> None:
    """The first line of its `__init__.py`; and none holds more than eleven files."""
    for folder in (path for path in (ROOT / "namegen").iterdir() if path.is_dir()):
        if folder.name != "__pycache__":
            first = (folder / "__init__.py").read_text().partition("\n")[0]
            assert first.startswith('"""'), folder
            assert "." in first, folder
            assert len(list(folder.glob("*.py"))) <= 12, folder


def test_importing_namegen_is_light() -> None:
    """`import namegen` imports none of the slow packages, and nor does checking the job's input."""
    program = (
        "import sys; sys.path.insert(0, 'flows'); import namegen, command_line;"
        "print(sorted({'torch', 'polars', 'pyarrow', 'prefect', 'duckdb', 'pandas', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
