"""Files that somebody made up: whatever is in them, the readers give a result or an error with a remedy."""

from __future__ import annotations

import json
import random
import resource
import struct
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from safetensors.numpy import save

import tiny
from conftest import on_disk
from namegen.automaton import artifact
from namegen.automaton.artifact import load
from namegen.automaton.automaton import Automaton
from namegen.corpus.corpus import read_corpus
from namegen.errors import ArtifactError, NamegenError
from namegen.outputs import dataset, layout
from namegen.outputs.dataset import DatasetManifest
from namegen.outputs.journal import Journal, Part
from namegen.outputs.manifests import open_manifest
from namegen.outputs.model_folder import ModelManifest

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


def attack(path: Path, bases: list[bytes], times: int, read: Callable[[Path], object]) -> tuple[int, int]:
    """Feeds a reader; how many inputs it took and how many it refused. Any other error is the test's."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
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

    batch()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB: no header is believed
    return outcomes[True], outcomes[False]


def test_names_files(tmp_path: Path, times: int) -> None:
    """A file that is taken has names by the rules, whatever stands in it."""

    def read(path: Path) -> None:
        corpus = read_corpus(path)
        assert corpus.names
        assert all(0 < len(name) <= 64 and name == unicodedata.normalize("NFC", name.strip()) for name in corpus.names)
        assert set("".join(corpus.names)) | {"."} == set(corpus.vocabulary.symbols)
        assert not any(unicodedata.category(c) == "Cc" for c in corpus.vocabulary.symbols)

    bases = ["emma\nolivia\nava\n", "Zoë\r\n  José \n\nÅsa", "\ufeff李\n김 민\n", "O'Neil\nMary-Jane\nemma\nemma\n", ""]
    taken, refused = attack(tmp_path / "names.txt", [base.encode() for base in bases], times, read)
    assert min(taken, refused) > (taken + refused) / 5


def test_automata(output: Path, tmp_path: Path, times: int) -> None:
    """What is taken is what was saved, or what only the file's padding was changed of; and can be drawn from."""
    whole = load(tiny.place(output).path)
    small = Automaton(whole.vocabulary, 2, whole.weights[: len(whole.vocabulary)], whole.successor[:27] % 27)
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
        save({"weights": np.zeros((1, 1))}, {"namegen": '{"format_version": 1, "stream_version": "1"}'}),
        save({"weights": np.zeros((1, 1))}, {"namegen": '{"format_version": {}, "stream_version": 1}'}),
        save({"weights": np.zeros((1, 1))}, {"namegen": "7"}),
        save({}, {"namegen": '{"format_version": 1, "stream_version": 1, "order": 1e999, "vocabulary": ".a"}'}),
    ],
)
def test_files_that_are_no_automaton(tmp_path: Path, data: bytes) -> None:
    """A pickle, an archive, sizes that are absurd, JSON that is deep: refused in a line."""
    path = tmp_path / "automaton.safetensors"
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=r"not an automaton|version"):
        load(path)


@pytest.mark.parametrize("symbols", [".\x1b[", ".a\u202e", "", ".", "a.", ".ba", ".aa", "." + "a" * 300])
def test_automata_of_strange_vocabularies(tmp_path: Path, symbols: str) -> None:
    """Symbols that are no vocabulary are refused, and those that would not print come out as escapes."""
    size = len(symbols)
    weights = np.zeros((size, size), np.int64)
    weights[:, :1] = 2**32
    arrays: dict[str, Any] = {"weights": weights, "successor": np.zeros((size, size), np.int32)}
    metadata = {"format_version": 1, "stream_version": 1, "order": 2, "vocabulary": symbols, "sha256": ""}
    path = tmp_path / "automaton.safetensors"
    path.write_bytes(save(arrays, {"namegen": json.dumps(metadata)}))
    with pytest.raises(ArtifactError) as caught:
        load(path)
    assert str(caught.value).isprintable()
