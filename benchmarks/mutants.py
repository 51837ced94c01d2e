"""Mutation testing: the code is changed in one small place at a time, and the tests have to notice.

    pip install -e '.[dev]'
    python benchmarks/mutants.py [MODULE ...] [--sample 60] [--seed 1] [--jobs 2] [--results mutants.jsonl]

The mutants are cosmic-ray's: another operator, another number, a loop that never begins, a decorator that is gone. Of
a module with more than `sample` of them, a seeded sample is tried, which takes one of each place before it takes a
second. Mutants that change annotations, protocols and docstrings alone are left out. Each is written into a copy of the
project, where a forked process, which has the slow libraries already, runs the tests that `TESTS` names, those of a
file that take least time first, and stops at the first that fails. A mutant that survives is printed with its line.
`--line 40` tries all mutants of one line.

A survivor is a missing test, or a change that makes no difference. `EQUIVALENT` lists those that were found to make
none, with the reason, and they are not counted.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import gc
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parents[1]
COPIED = ("namegen", "tests", "flows", "data", "docs", "pyproject.toml", "README.md")

LIBRARIES = (
    *(
        "hypothesis.extra",
        "hypothesis.strategies",
        "numba",
        "numpy",
        "polars",
        "portalocker",
        "prefect.main",
        "pyarrow",
    ),
    *("prefect.events", "prefect.task_runners", "pyarrow.compute", "pyarrow.parquet", "pytest", "safetensors", "torch"),
)

# Which tests run against the mutants of a module: quick ones, those that fail first in front.
TESTS = {
    "automaton/alias_tables": ["test_automaton.py"],
    "automaton/artifact": ["test_automaton.py"],
    "automaton/automaton": ["test_automaton.py", "test_codes.py"],
    "automaton/compiled": ["test_cpu_sampler.py"],
    "automaton/explanation": ["test_explanation.py"],
    "automaton/logarithm": ["test_logarithm.py", "test_cpu_sampler.py"],
    "automaton/rounding": ["test_automaton.py"],
    "automaton/walk": ["test_codes.py"],
    "characters": ["test_characters.py"],
    "codes": ["test_codes.py"],
    "outputs/journal": ["test_journal.py"],
    "outputs/writer": ["test_dataset.py"],
    "outputs/wish": ["test_wishes.py"],
    "questions/condition": ["test_questions.py"],
    "questions/count": ["test_questions.py"],
    "questions/figures": ["test_questions.py"],
    "questions/graph": ["test_questions.py"],
    "questions/pattern": ["test_questions.py"],
    "questions/product": ["test_questions.py"],
    "questions/question": ["test_questions.py"],
    "questions/race": ["test_questions.py"],
    "questions/temperature": ["test_questions.py"],
    "questions/top": ["test_questions.py"],
    "sampling/kernel": ["test_cpu_sampler.py", "test_codes.py"],
    "sampling/philox": ["test_philox.py"],
    "sampling/reference": ["test_sampling.py", "test_codes.py"],
    "sampling/spelling": ["test_sampling.py", "test_codes.py"],
    "sampling/stream": ["test_sampling.py"],
    "sampling/torch_sampler": ["test_cpu_sampler.py", "test_codes.py"],
    "storage/disk": ["test_storage.py", "test_output_folder.py", "test_locking.py"],
    "storage/files": ["test_storage.py"],
    "storage/flocks": ["test_locking.py"],
    "storage/leases": ["test_leases.py"],
    "storage/locks": ["test_locking.py"],
    "storage/storage": ["test_leases.py", "test_locking.py"],
    "storage/store": ["test_storage.py", "test_leases.py"],
    "training/compile": ["test_compile.py"],
    "training/detect": ["test_quality.py"],
    "training/pool": ["test_networks.py"],
    "training/quantise": ["test_automaton.py"],
    "upkeep/dataset_check": ["test_damage.py"],
    "upkeep/prune": ["test_pruning.py"],
    "upkeep/verify": ["test_damage.py"],
}

# Mutants that change nothing that a caller can see: (a part of the mutated line, the reason).
EQUIVALENT: dict[str, list[tuple[str, str]]] = {
    "automaton/compiled": [
        ("nogil=False", "threads wait for each other: speed only"),
        ("integer(", "what a prefetch is told: speed only"),
    ],
    "automaton/logarithm": [
        ("_BLOCK = ", "a block of another size has the same logarithms: speed only"),
        ("zero = x <= 0", "negative numbers are not among its arguments"),
    ],
    "automaton/rounding": [
        ("def _round(", "without being compiled it does the same, slowly"),
        ("lost[v] = 1.0, 0.0", "fewer are missing than weights that lost something, and those come first"),
        ("if missing > -1", "where nothing is missing, nothing is given"),
        ("if missing >= 0", "where nothing is missing, nothing is given"),
        ("elif missing < 1", "where nothing is missing, nothing is given"),
        ("elif missing <= 0", "where nothing is missing, nothing is given"),
        ("lost[v] = 1.0, 2.0", "the last is the last"),
    ],
    "outputs/writer": [
        ("@dataclass(frozen=False)", "nobody assigns to its fields"),
        ("workers: int = 2", "how many work at once changes no byte: speed only"),
    ],
    "outputs/journal": [("file.readline, 409", "only bounds the memory that a line takes")],
    "sampling/stream": [('BATCH = {"cpu"', "how many rows a batch has by default changes no row, and only the speed")],
    "storage/leases": [
        ("daemon=False", "the thread is joined before its job ends"),
        ("uuid4().hex, generation=", "the lock is first written with a generation of its own"),
        ("for _ in range(3)", "the second try fails only where the lock is another's"),
    ],
    "storage/store": [
        ("temporary.unlink(missing_ok=False)", "it is there: it was just uploaded"),
        ("int | None = 7", "speed only"),
        ("int | None = 9", "speed only"),
    ],
    "training/quantise": [
        (f"before = {less}", "no count of states, or 0: where no state can end, the search finds nothing either")
        for less in ("- 2", "- 0", "~1", "not 1")
    ],
}


@dataclass(frozen=True)
class Mutant:
    """One change: the module, the new text of the whole file, and the changed line before and after."""

    module: str
    operator: str
    line: int
    before: str
    after: str
    source: str


def mutants_of(module: str, draw: random.Random) -> Iterator[Mutant]:
    """All mutants of a module, in an order that visits every place before it comes to one again."""
    source = (ROOT / "namegen" / f"{module}.py").read_text()
    places: dict[tuple[Any, Any, str], list[tuple[str, int]]] = defaultdict(list)
    tree = get_ast(source)
    for name in operator_names():
        kind = get_operator(name)
        if kind.arguments():
            continue
        spots = [spot for node in ast_nodes(tree) for spot in kind().mutation_positions(node)]
        for occurrence, (start, end) in enumerate(spots):
            places[start, end, name.partition("_")[0]].append((name, occurrence))
    queue = list(places.values())
    draw.shuffle(queue)
    for operators in queue:
        draw.shuffle(operators)
    original = _meaning(source)
    seen: set[str | None] = set()
    while queue:
        for operators in queue:
            name, occurrence = operators.pop()
            text = mutate_code(source, get_operator(name)(), occurrence)
            meaning = _meaning(text) if text else None
            if text and meaning not in {original, None} | seen:
                seen.add(meaning)
                yield _described(module, name.partition("/")[2], source, text)
        queue = [operators for operators in queue if operators]


def _described(module: str, operator: str, source: str, text: str) -> Mutant:
    before, after = source.splitlines(), text.splitlines()
    at = next(i for i, (one, two) in enumerate(zip(before, after, strict=False)) if one != two)
    return Mutant(module, operator, at + 1, before[at].strip(), after[at].strip(), text)


def _meaning(source: str) -> str | None:
    """The program without docstrings, annotations and protocols, which do nothing here; None if it is no program."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            for argument in ast.walk(node.args):
                if isinstance(argument, ast.arg):
                    argument.annotation = None
        elif isinstance(node, ast.AnnAssign) and node.value:
            node.annotation = ast.Constant(value=None)
        elif isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases):
            node.body = [ast.Pass()]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.test = ast.Constant(value=False)
    return ast.dump(tree)


class Slot:
    """A copy of the project, in which one mutant at a time is tried."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
            copy(ROOT / name, folder / name)
        compileall.compile_dir(folder, quiet=2, workers=1)
        self.pid, self.begun = 0, 0.0
        self.mutant: Mutant | None = None

    def start(self, mutant: Mutant | None, tests: Sequence[str]) -> None:
        """Writes a mutant, or none, and runs the tests in a process of their own."""
        self.mutant, self.begun = mutant, time.monotonic()
        if mutant:
            path = self.folder / "namegen" / f"{mutant.module}.py"
            path.write_text(mutant.source)
            Path(cache_from_source(path)).unlink(missing_ok=True)  # it may be as old and as long as the mutant
        self.pid = os.fork()
        if not self.pid:
            status = 70
            try:
                os.setsid()
                status = self._run(tests)
            except BaseException:  # noqa: BLE001 - nothing may get out of the forked process, which would clean up
                traceback.print_exc()
            finally:
                os._exit(status)

    def finish(self, status: int) -> str:
        """How the mutant fared; the file is put back."""
        if self.mutant:
            module = f"namegen/{self.mutant.module}.py"
            shutil.copyfile(ROOT / module, self.folder / module)
        self.pid = 0
        if os.WIFSIGNALED(status):
            return "timeout" if os.WTERMSIG(status) == signal.SIGKILL else "crash"
        return {0: "survived", 1: "failed"}.get(os.WEXITSTATUS(status), "broken")

    def _run(self, tests: Sequence[str]) -> int:
        log = os.open(self.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(self.folder)
        os.environ |= {"PYTHONPATH": str(self.folder), "PREFECT_HOME": str(self.folder / "prefect")}
        os.environ["NUMBA_CACHE_DIR"] = str(self.folder / "numba")
        sys.path.insert(0, str(self.folder))
        import pytest

        options = [
            "-x",
            "-q",
            "--tb=line",
            "-p",
            "no:cacheprovider",
            f"--rootdir={self.folder}",
            "-c",
            "pyproject.toml",
        ]
        options += ["--assert=plain"]  # nobody reads why a test fails
        plugins = [NoShrinking(), QuickFirst(self.folder / "seconds.json")]
        return int(pytest.main([*options, *(f"tests/{test}" for test in tests)], plugins=plugins))


class NoShrinking:
    """An example that fails is enough: hypothesis need not look for the smallest, or for others."""

    def pytest_configure(self) -> None:
        """Runs after conftest.py has chosen its profile."""
        from hypothesis import Phase, settings

        phases = Phase.explicit, Phase.generate
        settings.register_profile("mutants", settings(), phases=phases, report_multiple_bugs=False, database=None)
        settings.load_profile("mutants")


class QuickFirst:
    """Runs the tests of each file in the order of the time that they took when they first ran."""

    def __init__(self, file: Path) -> None:
        self.file, self.seconds = file, defaultdict[str, float](float)

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """If the times are known; the files keep their order, as they set up what is costly."""
        if self.file.exists():
            known, files = json.loads(self.file.read_text()), list(dict.fromkeys(item.path for item in items))
            items.sort(key=lambda item: (files.index(item.path), known.get(item.nodeid, 0)))

    def pytest_runtest_logreport(self, report: Any) -> None:  # noqa: ANN401 - pytest's own
        """Called for the set-up, the test and the end of each."""
        self.seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        """Keeps the times of the first run."""
        if not self.file.exists():
            self.file.write_text(json.dumps(self.seconds))


def unchanged(slot: Slot, module: str) -> float:
    """The seconds that the tests of a module take without a mutant, when the compiled code is there.

    They run twice: in the order of their files, and then the quick ones first.
    """
    (slot.folder / "seconds.json").unlink(missing_ok=True)
    for _ in range(2):
        slot.start(None, TESTS[module])
        _, status = os.waitpid(slot.pid, 0)
        if slot.finish(status) != "survived":
            sys.exit((slot.folder / "log").read_text() + f"\n{module}: its tests fail without a mutant")
    return time.monotonic() - slot.begun


def trials(modules: Sequence[str], given: argparse.Namespace, folder: Path) -> Iterator[tuple[Mutant, str, float]]:
    """(mutant, outcome, seconds) of each."""
    slots = []
    for number in range(given.jobs):
        (folder / str(number)).mkdir()
        slots.append(Slot(folder / str(number)))
    for module in modules:
        limit = 15 + 2 * max(unchanged(slot, module) for slot in slots)
        draw = random.Random(given.seed)  # noqa: S311 - a sample that can be drawn again
        waiting = [m for m in mutants_of(module, draw) if given.line in {0, m.line}]
        waiting = waiting[: None if given.line else given.sample or None]
        while waiting or any(slot.pid for slot in slots):
            for slot in slots:
                if not slot.pid and waiting:
                    slot.start(waiting.pop(0), TESTS[module])
            time.sleep(0.02)
            for slot in (slot for slot in slots if slot.pid):
                pid, status = os.waitpid(slot.pid, os.WNOHANG)
                if pid and slot.mutant:
                    yield slot.mutant, slot.finish(status), time.monotonic() - slot.begun
                elif time.monotonic() - slot.begun > limit:
                    os.killpg(slot.pid, signal.SIGKILL)


def reason(mutant: Mutant) -> str:
    """Why a mutant makes no difference; empty if that is not known."""
    return next((why for part, why in EQUIVALENT.get(mutant.module, []) if part in mutant.after), "")


def main() -> int:
    """The exit status: 1 if a mutant survived that is not known to be equivalent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(TESTS)} (default: all)")
    parser.add_argument("--sample", type=int, default=60, help="mutants of a module; 0 for all")
    parser.add_argument("--line", type=int, default=0, help="only the mutants of this line")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--results", type=Path, help="a file to which a line of JSON is added for each mutant")
    given = parser.parse_args()
    modules = [module for module in TESTS if not given.modules or any(part in module for part in given.modules)]
    os.environ["CI"] = "true"  # hypothesis tries the same examples each time
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
    preload()
    outcomes: dict[str, list[str]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        Path(folder).chmod(0o755)  # a test runs the project as another user
        for mutant, outcome, seconds in trials(modules, given, Path(folder)):
            why = reason(mutant) if outcome == "survived" else ""
            outcomes[mutant.module].append("equivalent" if why else outcome)
            if outcome in {"survived", "broken"}:
                print(f"{mutant.module}.py:{mutant.line}: {outcome} {mutant.operator} {why}", flush=True)
                print(f"  - {mutant.before}\n  + {mutant.after}", flush=True)
            if given.results:
                row = {**vars(mutant), "outcome": outcome, "why": why, "seconds": round(seconds, 1)}
                del row["source"]
                with given.results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
    for module, found in outcomes.items():
        dead = len(found) - found.count("survived") - found.count("equivalent")
        said = f"{dead} of {len(found) - found.count('equivalent')} died, {found.count('timeout')} by a timeout"
        print(f"{module}: {said}, {found.count('equivalent')} equivalent")
    return int(any("survived" in found for found in outcomes.values()))


def preload() -> None:
    """What the forked processes find already imported: libraries, and nothing of the project."""
    for library in LIBRARIES:
        import_module(library)
    sys.dont_write_bytecode = True
    gc.freeze()  # or each process would copy the libraries' objects as it looks for garbage
    assert not any(name.partition(".")[0] == "namegen" for name in sys.modules)


if __name__ == "__main__":
    sys.exit(main())
