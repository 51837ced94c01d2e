"""The journal: what is read of any bytes that lie there, and which file has which line."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from namegen.outputs.journal import BLOCK, Journal, Part, journals_in, remove_journal

STREAM = {"seed": 1, "automaton_sha256": "a"}
SHA = "0123456789abcdef" * 4
PART = Part(3, 7, SHA, 99)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    file = folder / "journal-000000.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines() if line]


def read(folder: Path, *lines: str) -> tuple[dict[int, Part], int | None]:
    (folder / "journal-000000.jsonl").write_text("\n".join(lines))
    return Journal(folder, STREAM).read()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Parts by number, the last line for each; and the most rows that were asked for."""
    journal = Journal(tmp_path, STREAM)
    assert journal.read() == ({}, None)
    for part in (PART, Part(0, 1, SHA, 0), PART._replace(size=100)):
        journal.add(part)
    for count in (5, 9, 2):
        journal.ask(count)
    assert journal.read() == ({3: PART._replace(size=100), 0: Part(0, 1, SHA, 0)}, 9)
    stream = sha256(b'{"automaton_sha256": "a", "seed": 1}').hexdigest()[:16]
    assert lines_of(tmp_path)[0] == {"stream": stream, "number": 3, "rows": 7, "sha256": SHA, "size": 99}
    assert lines_of(tmp_path)[-1] == {"stream": stream, "asked": 2}
    # whatever the order in which the keys of a stream come
    assert Journal(tmp_path, dict(reversed(STREAM.items()))).read() == journal.read()
    assert Journal(tmp_path, {**STREAM, "seed": 2}).read() == ({}, None)
    assert journals_in(tmp_path / "none") == []
    remove_journal(tmp_path)
    assert journals_in(tmp_path) == []
    remove_journal(tmp_path)  # none is no error


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("number", -1),
        ("number", "3"),
        ("number", 3.0),
        ("rows", 0),
        ("rows", True),
        ("size", -1),
        ("sha256", SHA[:-1]),
        ("sha256", SHA.upper()),
        ("sha256", SHA + "\n"),
        ("stream", "another"),
        ("more", 1),
    ],
)
def test_a_line_that_says_nothing(tmp_path: Path, field: str, wrong: object) -> None:
    """A line with a wrong field is passed over; those around it count."""
    Journal(tmp_path, STREAM).add(PART)
    (good,) = lines_of(tmp_path)
    later = {**good, "number": 4}
    parts, _ = read(tmp_path, json.dumps({**good, field: wrong}), json.dumps(later))
    assert parts == {4: PART._replace(number=4)}


@pytest.mark.parametrize("wrong", [0, -5, "7", None, 1.5])
def test_a_count_that_is_none(tmp_path: Path, wrong: object) -> None:
    Journal(tmp_path, STREAM).ask(3)
    (good,) = lines_of(tmp_path)
    assert read(tmp_path, json.dumps({**good, "asked": wrong})) == ({}, None)
    assert read(tmp_path, json.dumps({**good, "asked": 1})) == ({}, 1)


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes(tmp_path: Path, garbage: bytes) -> None:
    """Before and after a whole line."""
    file = tmp_path / "journal-000000.jsonl"
    file.write_bytes(garbage)
    Journal(tmp_path, STREAM).add(PART)
    with file.open("ab") as end:
        end.write(garbage)
    assert Journal(tmp_path, STREAM).read().parts == {3: PART}


def test_which_file_has_which_line(tmp_path: Path) -> None:
    """One for every 64 parts from the first of a writer's range on; a range lies in one of them."""
    journal = Journal(tmp_path, STREAM)
    assert [journal.name_for(n) for n in (0, BLOCK - 1, BLOCK)] == [
        "journal-000000.jsonl",
        "journal-000000.jsonl",
        f"journal-{BLOCK:06d}.jsonl",
    ]
    own = Journal(tmp_path, STREAM, 10)
    assert [own.name_for(n) for n in (10, 73, 74)] == ["journal-000010.jsonl"] * 2 + ["journal-000074.jsonl"]
    for number in (10, 73, 74):
        own.add(PART._replace(number=number))
    assert sorted(own.read_block()) == [10, 73]
    assert sorted(journal.read().parts) == [10, 73, 74]
    assert sorted(journals_in(tmp_path)) == ["journal-000010.jsonl", "journal-000074.jsonl"]


def test_what_is_no_journal(tmp_path: Path) -> None:
    """Other names, a folder and a link are not read."""
    Journal(tmp_path, STREAM).add(PART)
    line = (tmp_path / "journal-000000.jsonl").read_text()
    for name in ("journal-0.jsonl", "journal-000001.json", "xjournal-000001.jsonl"):
        (tmp_path / name).write_text(line.replace('"number":3', '"number":5'))
    (tmp_path / "journal-000001.jsonl").mkdir()
    (tmp_path / "journal-000002.jsonl").symlink_to(tmp_path / "journal-0.jsonl")
    assert sorted(Journal(tmp_path, STREAM).read().parts) == [3]


def test_a_long_line_is_cut(tmp_path: Path) -> None:
    """No line is longer than 4,096 bytes, and one that is takes no more memory; the next one counts."""
    file = tmp_path / "journal-000000.jsonl"
    file.write_bytes(b"x" * 5000)
    Journal(tmp_path, STREAM).add(PART)
    assert Journal(tmp_path, STREAM).read().parts == {3: PART}
