"""Files that somebody made up: whatever is in them, the readers give a result or an error with a remedy."""

from __future__ import annotations

import math
import random
import resource
import struct
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import psutil
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save

import tiny
from conftest import on_disk
from namegen.automaton import artifact
from namegen.automaton.artifact import load
from namegen.automaton.automaton import TOTAL, Automaton
from namegen.commands.main import main
from namegen.corpus.corpus import read_corpus
from namegen.errors import ArtifactError, NamegenError
from namegen.model import Model
from namegen.outputs import dataset, layout
from namegen.outputs.dataset import DatasetManifest
from namegen.outputs.journal import Journal, Part
from namegen.outputs.manifests import open_manifest
from namegen.outputs.model_folder import ModelManifest
from namegen.vocabulary import Vocabulary

MEMORY = 2 * 10**9  # bytes that a reader may set aside: a manifest's 2^30, but not what the headers in `PIECES` claim
BATCH, BATCHES = 50, 20  # inputs an example of hypothesis, and examples a reader, times `--times`
PIECES = [  # that mean something to one of the readers
    *(b"\xef\xbb\xbf", b"\r\n", b"\n", b"\t", b"\x00", b"\x1b[31m", b".", b"a" * 64, b"e\xcc\x81", b"\xed\xa0\x80"),
    *("\u202e\u2028\ufeff\u0130".encode(), b"\xf4\x90\x80\x80", b"\xc0\xaf", b" ", b"\xf0\x9f\x98\x80"),
    *(b"{", b"}", b"[", b"]", b'"', b":", b",", b"null", b"true", b"NaN", b"-1", b"1e999", b"99999999999999999999"),
    *(b'"../x"', b'"/etc/passwd"', b'\\"', b"\\u0000", b"\\ud800", b"[" * 5000, b'{"a":' * 5000, b"1" * 5000),
    *(struct.pack("<Q", n) for n in (0, 1, 2**31, 2**63, 2**64 - 1)),
    *(b'"dtype":"F64"', b'"dtype":"I64"', b'"shape":[4294967296,4294967296]', b'"data_offsets":[0,9999999999]'),
]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "PART_ROWS", tiny.PART)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the tiny job leaves."""
    folder = tmp_path_factory.mktemp("tiny") / "o"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "PART_ROWS", tiny.PART)
        tiny.job(folder)
    return folder


def mutated(data: bytes, draw: random.Random) -> bytes:
    """`data` with one to four changes, each random or of a piece that means something."""
    for _ in range(draw.choice([1, 1, 2, 4])):
        if draw.random() < 0.5:
            data = tiny.damaged(data, draw)
        else:
            at = draw.randrange(len(data) + 1)
            data = data[:at] + draw.choice(PIECES) + data[at + draw.choice([0, 1, 8, 30]) :]
    return data


@contextmanager
def memory_bound(more: int) -> Iterator[None]:
    """Inside it, an allocation that takes the process `more` bytes beyond what it has now fails with MemoryError."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + more, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def attack(path: Path, bases: list[bytes], times: int, read: Callable[[Path], object]) -> tuple[int, int]:
    """Feeds a reader; how many inputs it took and how many it refused. Any other error is the test's."""
    outcomes: Counter[bool] = Counter()

    def is_taken(data: bytes) -> bool:
        path.write_bytes(data)
        try:
            read(path)
        except NamegenError as error:
            text = str(error)
        else:
            return True
        assert text.isprintable()
        return False

    @settings(max_examples=BATCHES * times, database=None)
    @given(st.integers(0, 2**64 - 1))
    def batch(seed: int) -> None:
        draw = random.Random(seed)  # noqa: S311 - the same for the same seed
        for _ in range(BATCH):
            data = mutated(draw.choice(bases), draw) if draw.random() < 0.98 else draw.randbytes(draw.randrange(200))
            note(repr(data))
            outcomes[is_taken(data)] += 1

    with memory_bound(MEMORY):  # no header is believed
        batch()
    return outcomes[True], outcomes[False]


def test_names_files(tmp_path: Path, times: int) -> None:
    """A file that is taken has names by the rules, whatever stands in it."""

    def read(path: Path) -> None:
        corpus = read_corpus(path)
        assert corpus.names
        assert all(0 < len(name) <= 64 and name == unicodedata.normalize("NFC", name.strip()) for name in corpus.names)
        assert set("".join(corpus.names)) == set(corpus.vocabulary.characters)
        assert not any(unicodedata.category(c) == "Cc" for c in corpus.vocabulary.symbols)

    bases = ["emma\nolivia\nava\n", "Zoë\r\n  José \n\nÅsa", "\ufeff李\n김 민\n", "O'Neil\nMary-Jane\nemma\nemma\n", ""]
    taken, refused = attack(tmp_path / "names.txt", [base.encode() for base in bases], times, read)
    assert min(taken, refused) > (taken + refused) / 5


def test_automata(output: Path, tmp_path: Path, times: int) -> None:
    """What is taken is what was saved, or what only the file's padding was changed of; and can be drawn from."""
    whole = load(tiny.place(output).path)
    small = Automaton(whole.vocabulary, 2, whole.weights[:27], whole.successor[:27] % 27, whole.context_lengths[:27])
    artifact.save(small, tmp_path / "small")
    data = (tmp_path / "small").read_bytes()
    header = data[: 8 + struct.unpack("<Q", data[:8])[0]]

    def read(path: Path) -> None:
        assert load(path).sha256 == small.sha256

    # most changes in the header: behind it lie the arrays, whose every change is one for the checksum
    taken, refused = attack(tmp_path / "automaton", [data, header, data[: len(header) + 500]], times, read)
    assert refused > 0.9 * (taken + refused)


def test_manifests(output: Path, tmp_path: Path, times: int) -> None:
    """What is taken has every byte of what was written."""
    (names,) = layout.datasets_in(output, layout.NAMES)
    for folder, kind in ((tiny.place(output).path, ModelManifest), (names, DatasetManifest)):
        data, written = kind.path(folder).read_bytes(), open_manifest(folder, kind).sound()
        place = layout.dataset_folder(tmp_path, "bigram-0123456789ab", 5)
        path = on_disk(kind.path(place))
        path.parent.mkdir(parents=True)

        def read(_: Path, place: Path = place, kind: type = kind, written: object = written) -> None:
            assert open_manifest(place, kind).sound() == written

        taken, refused = attack(path, [data], times, read)
        assert refused > 0.95 * (taken + refused)


def test_journals(tmp_path: Path, times: int) -> None:
    """Lines of any kind are passed over, and parts are always on the grid."""
    journal = Journal(tmp_path, {"seed": 1})
    for number in range(3):
        journal.add(Part(number, tiny.PART, "0" * 64, 100))
    journal.ask(500)
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()

    def read(_: Path) -> None:
        parts, asked = journal.read(path.name)
        assert all(number == part.number >= 0 < part.rows for number, part in parts.items())
        assert (asked or 1) > 0

    taken, refused = attack(path, [data], times, read)
    assert taken > 0
    assert refused == 0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04\x95\x1b\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94.",
        b"PK\x03\x04",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 99_000_000) + b"{",
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        save({"weights": np.zeros((1, 1))}, {"namegen": "[" * 100_000}),
        save({"weights": np.zeros((1, 1))}, {"namegen": '{"format_version": 3, "stream_version": "1"}'}),
        save({"weights": np.zeros((1, 1))}, {"namegen": '{"format_version": {}, "stream_version": 1}'}),
        save({"weights": np.zeros((1, 1))}, {"namegen": "7"}),
        save({}, {"namegen": '{"format_version": 3, "stream_version": 1, "order": 1e999, "vocabulary": ".a"}'}),
    ],
)
def test_files_that_are_no_automaton(tmp_path: Path, data: bytes) -> None:
    """A pickle, an archive, sizes that are absurd, JSON that is deep: refused in a line."""
    path = tmp_path / "automaton.safetensors"
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=r"not an automaton|version"):
        load(path)


def test_a_reader_that_believes_a_header(tmp_path: Path) -> None:
    """The bound on memory is one: a reader that sets aside as many bytes as it is told to is found."""
    with pytest.raises(MemoryError):
        attack(tmp_path / "file", [b"3000000000"], 1, lambda _: np.empty(3 * 10**9, np.uint8))


def made_up(path: Path, symbols: object = ".ab", order: object = 2, **arrays: NDArray[Any]) -> Path:
    """The file of an automaton that somebody made up, with the checksum that belongs to it."""
    size = len(symbols) if isinstance(symbols, str) else 3
    weights = np.zeros((size, size), np.int64)
    weights[:, :1] = TOTAL
    automaton = Automaton(
        cast("Vocabulary", SimpleNamespace(own=symbols, codes=None, spelling=None)),  # a vocabulary would refuse them
        cast("int", order),
        arrays.get("weights", weights),
        arrays.get("successor", np.zeros((size, size), np.int32)),
        arrays.get("context_lengths", np.ones(len(arrays.get("weights", weights)), np.uint8)),
    )
    artifact.save(automaton, path)
    return path


@pytest.mark.parametrize("symbols", ["", ".", "a.", ".ba", ".aa", ".a\ud800", "." + "".join(map(chr, range(300, 556)))])
def test_automata_of_strange_vocabularies(tmp_path: Path, symbols: str) -> None:
    """Symbols that are no vocabulary are refused, whatever the checksum."""
    with pytest.raises(
        ArtifactError, match=r"a vocabulary is|characters of a vocabulary|surrogates not allowed"
    ) as caught:
        load(made_up(tmp_path / "automaton.safetensors", symbols))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("symbols", [".\x1b[", ".a\u202e", "." + "".join(map(chr, range(300, 555)))])
def test_symbols_that_do_not_print(tmp_path: Path, symbols: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A vocabulary may have them. What a person reads has their escape sequences instead."""
    weights = np.full((len(symbols), len(symbols)), 2**20, np.int64)
    weights[:, 0] += TOTAL - weights[0].sum()
    path = made_up(tmp_path / "automaton.safetensors", symbols, weights=weights)
    assert load(path).vocabulary.symbols == symbols
    for arguments in (
        ["explain", str(path), symbols[1:]],
        ["sample", str(path), "--format", "table"],
        ["inspect", str(path)],
    ):
        assert main(arguments) == 0
        assert capsys.readouterr().out.replace("\n", "").isprintable()


@pytest.mark.parametrize("order", [1, 0, -1, 67, 10**30, True, 2.0, math.inf, "2", None, [2]])
def test_orders_that_cannot_be(tmp_path: Path, order: object) -> None:
    """Order 1 would have contexts of no symbols: `explain` once looked for longer ones for ever."""
    with pytest.raises(ArtifactError, match="was altered: its order or its arrays"):
        load(made_up(tmp_path / "automaton.safetensors", order=order))


@pytest.mark.parametrize("version", [0, -1, True, 1.5, math.nan, "1", None])
def test_versions_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: object) -> None:
    """A version that no namegen wrote is neither older nor newer."""
    monkeypatch.setattr(artifact, "STREAM_VERSION", version)
    path = made_up(tmp_path / "automaton.safetensors")
    monkeypatch.undo()
    with pytest.raises(ArtifactError, match="not an automaton"):
        load(path)


def test_automata_that_never_end(tmp_path: Path) -> None:
    """A chain of states, a circle, and states that nothing leads to: explained, scored and drawn in 64 steps."""
    states = 300_000
    onwards = np.arange(1, states + 1, dtype=np.int32)
    weights = np.tile(np.array([[0, TOTAL // 2, TOTAL // 2]], np.int64), (states, 1))
    for last in (states - 1, 0, 1):
        successor = np.stack([np.zeros(states, np.int32), np.minimum(onwards, last), onwards % states], axis=1)
        path = made_up(tmp_path / "automaton.safetensors", ".ab", 66, weights=weights, successor=successor)
        model = Model(load(path))
        name = "b" * 65
        assert model.score([name[:64], name]) == [pytest.approx(64 * math.log(0.5)), -math.inf]
        assert len(model.explain(name)) == 65
        assert {*map(len, model.sample(20, into="list"))} == {64}
