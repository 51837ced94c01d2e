"""The arrows between modules that must never exist, and what must not be imported early."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

PACKAGE = ROOT / "namegen"
MODULES = sorted(PACKAGE.rglob("*.py"))
MODELS = {f"namegen.models.{path.stem}" for path in (PACKAGE / "models").glob("*.py")} - {"namegen.models.__init__"}
SAMPLING = {"sampling", "cpu_sampler", "cpu_kernel", "compiled", "philox", "logarithm", "reference_sampler"}
FILES = {"dataset", "dataset_writer", "journal", "manifests", "model_folder", "storage", "checkpoint", "output_folder"}
PLACES = {"remote", "locking", "lease"}
CHECKS = {"verification", "dataset_check", "part_check", "model_check", "pruning", "ranges"}
PAGES = {"inspection", "report", "report_folder", "pictures", "tables"}
AFTER_THE_TABLE = {"automaton", "alias_tables", "quantisation", "scoring", "explanation", "evaluation", "quality"}
AFTER_THE_TABLE |= SAMPLING | FILES | PLACES | CHECKS | PAGES
BEFORE_THE_TABLE = {"vocabulary", "corpus", "ngrams", "events", "presets", "expansion", "fitting"}


def imports(path: Path) -> set[str]:
    """Every module that a file imports at run time, wherever in it; what only type checkers see is left out."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(str(node.module))
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_namegen_knows_neither_flows_nor_prefect(path: Path) -> None:
    flows = {file.stem for file in (ROOT / "flows").glob("*.py")}
    assert not roots(path) & {"prefect", "flows", *flows}


@pytest.mark.parametrize("path", sorted((PACKAGE / "models").glob("*.py")), ids=lambda p: p.stem)
def test_a_model_knows_counts_only(path: Path) -> None:
    """No model imports another, nor what comes behind it."""
    ours = {name for name in imports(path) if name.startswith("namegen")}
    assert ours <= {"namegen.corpus.ngrams", "namegen.corpus.ngrams.NgramCounts"}


@pytest.mark.parametrize("name", sorted(AFTER_THE_TABLE))
def test_behind_the_table_nobody_knows_models_or_torch(name: str) -> None:
    """The automaton and what follows it import no model and no torch; torch_sampler is the one exception."""
    found = imports(PACKAGE / f"{name}.py")
    assert not found & MODELS
    assert not any(module.startswith("namegen.models") for module in found)
    assert "torch" not in roots(PACKAGE / f"{name}.py")


def test_the_torch_sampler_knows_no_model() -> None:
    assert not any(module.startswith("namegen.models") for module in imports(PACKAGE / "torch_sampler.py"))


def test_the_data_set_knows_no_sampler() -> None:
    found = imports(PACKAGE / "dataset.py") | imports(PACKAGE / "dataset_writer.py")
    assert not {"namegen.sampling.stream", "namegen.sampling.torch_sampler", "namegen.automaton.automaton"} & found


def test_every_module_is_classified() -> None:
    """A new module has to be put on one side of the table or the other."""
    others = {"__init__", "__main__", "making", "errors", "device", "torch_sampler"}
    assert {path.stem for path in PACKAGE.glob("*.py")} == BEFORE_THE_TABLE | AFTER_THE_TABLE | others


def test_importing_namegen_is_light() -> None:
    """`import namegen` imports none of the slow packages, and nor does checking the job's input."""
    program = (
        "import sys; sys.path.insert(0, 'flows'); import namegen, command_line;"
        "print(sorted({'torch', 'polars', 'pyarrow', 'prefect', 'duckdb', 'pandas', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
