"""Jobs whose output is a bucket of a real S3 server, which now and then fails.

All that needs that server, and the proxy before it, stands here: they take some seconds to start.
"""

from __future__ import annotations

import gzip
import json
import logging
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from obstore.fsspec import FsspecStore

import namegen
import tiny
from conftest import COMMAND, KNESER_NEY, ROOT, refusal, run
from faulty_store import Faults, faulty
from namegen.commands.main import main
from namegen.corpus.corpus import read_corpus
from namegen.errors import ArtifactError, CorpusError, LeaseError, OutputError, SettingError
from namegen.outputs import dataset
from namegen.outputs.dataset import DatasetManifest
from namegen.outputs.layout import dataset_folder, part_name, record_folder
from namegen.outputs.manifests import open_manifest, write_manifest
from namegen.outputs.room import check_writable
from namegen.outputs.rows import Source
from namegen.outputs.wish import Wish
from namegen.outputs.writer import write_dataset
from namegen.questions.question import Question
from namegen.storage import leases as lease
from namegen.storage import object_store as remote
from namegen.storage.files import entries, location
from namegen.storage.leases import Lease, Leaseholder
from namegen.storage.locks import alone_in, holder_of, is_busy
from namegen.storage.object_store import RemotePath
from servers import call, wait_until

SECRET = "not-for-anyone-s-eyes"  # noqa: S105 - of a server that takes any
BUCKET = "s3://bucket"


@pytest.fixture(scope="module")
def store() -> Iterator[tuple[str, int]]:
    """A real server that speaks S3, with a bucket."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while True:
            try:
                bucket = urllib.request.Request(f"http://127.0.0.1:{port}/bucket", method="PUT")
                urllib.request.urlopen(bucket, timeout=10).close()  # noqa: S310
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield "127.0.0.1", port
        process.terminate()


@pytest.fixture(scope="module")
def faults() -> Faults:
    return Faults()


@pytest.fixture(scope="module")
def endpoint(store: tuple[str, int], faults: Faults) -> Iterator[str]:
    with faulty(store, faults) as url:
        yield url


def connect() -> None:
    """Forgets the connections that there were, so that the environment is read again."""
    remote.bucket.cache_clear()


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, endpoint: str, faults: Faults) -> Iterator[None]:
    """Small parts, short terms, and the way to the server."""
    monkeypatch.setattr(dataset, "PART_ROWS", tiny.PART)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "a-key",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NAMEGEN_LEASE_SECONDS": "3",
    }.items():
        monkeypatch.setenv(name, value)
    connect()
    yield
    faults.__dict__.update(Faults().__dict__)
    connect()


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> RemotePath:
    """An empty place."""
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
    return RemotePath(f"{BUCKET}/{name}")


@pytest.fixture
def made(prefix: RemotePath, expected: dict[str, bytes], disk: Path) -> RemotePath:
    """A place with a model and names in it."""
    for name in expected:
        (prefix / name).write_bytes((disk / name).read_bytes())
    return prefix


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the job leaves on a disk."""
    folder = tmp_path_factory.mktemp("disk") / "o"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "PART_ROWS", tiny.PART)
        tiny.job(folder)
    return folder


@pytest.fixture(scope="module")
def expected(disk: Path) -> dict[str, bytes]:
    return tiny.tree(disk)


def tree(prefix: RemotePath) -> dict[str, bytes]:
    """Every object but locks and what a repair put aside; of manifests all but how they came to be written."""
    found = {}
    for folder, names in prefix.files_below():
        for name in names if not str(folder).startswith(f"{prefix}/aside") else []:
            if name == ".lock":
                continue
            path = str(folder / name).removeprefix(f"{prefix}/")
            found[path] = tiny.without_time(name, (folder / name).read_bytes())
    return found


def names_of(prefix: RemotePath) -> RemotePath:
    folder = dataset_folder(prefix, tiny.place(prefix).path.name, 1)
    assert isinstance(folder, RemotePath)
    return folder


def test_the_same_bytes_as_on_a_disk(prefix: RemotePath, expected: dict[str, bytes]) -> None:
    """Model and names are what they are on a disk, more are added, and polars, DuckDB and namegen read them."""
    assert tiny.job(prefix).made == 5
    assert tree(prefix) == expected
    assert tiny.job(prefix, count=1500).kept == 4
    assert namegen.verify(str(prefix), deep=True) == []
    folder = names_of(prefix)
    options = {"aws_endpoint_url": os.environ["AWS_ENDPOINT_URL"], "aws_allow_http": "true"}
    by_polars = pl.read_parquet(f"{folder}/*.parquet", storage_options=options)
    with duckdb.connect() as connection:
        connection.register_filesystem(FsspecStore("s3", client_options={"allow_http": True}))
        parts = [f"{folder}/{part_name(number)}" for number in range(8)]
        query = f"SELECT index, name, log_prob FROM read_parquet({parts}) ORDER BY index"  # noqa: S608
        by_duckdb = connection.execute(query).fetchall()
    automaton = namegen.load(str(tiny.place(prefix).path))
    drawn = automaton.sample(1500, seed=1)
    assert by_polars.drop("is_novel").equals(drawn)
    assert by_duckdb == drawn.rows()


def test_a_question(made: RemotePath, tmp_path: Path) -> None:
    """A data set that is asked for more is what it is on a disk, and is checked like any other."""
    wish = Wish(Question(prefix="a"), distinct=True)
    for output in (made, tmp_path):
        tiny.job(output, wish=wish)
    own, expected = ({k: v for k, v in files.items() if wish.key in k} for files in (tree(made), tiny.tree(tmp_path)))
    assert len(own) == 8
    assert own == expected
    assert namegen.verify(str(made), deep=True) == []
    assert tiny.job(made, wish=wish).made == 0


def test_what_is_there_is_not_put_again(made: RemotePath, faults: Faults) -> None:
    """A finished data set costs a look, and a job that died resumes after its last part."""
    faults.requests.clear()
    assert tiny.job(made).made == 0
    assert not [request for request in faults.requests if request.startswith("PUT") and ".lock" not in request]
    assert len([request for request in faults.requests if "part-" in request]) == 0
    folder, source = names_of(made), Source.load(tiny.place(made).path, 2)
    assert source

    def dies(first: int, rows: int) -> Any:  # noqa: ANN401 - a table
        if first == 3 * tiny.PART:
            raise KeyboardInterrupt
        return source.rows(first, rows)

    second = folder.with_name("seed=2")
    with pytest.raises(KeyboardInterrupt):
        write_dataset(second, 900, source.stream, dies, source.configuration)
    assert sorted(entries(second)) == [*map(part_name, range(3))]
    assert sorted(entries(record_folder(second))) == ["journal-000000.jsonl"]
    assert any("is unfinished" in problem for problem in namegen.verify(str(second)))
    written = tiny.job(made, seed=2)
    assert (written.kept, written.made) == (3, 2)
    assert namegen.verify(str(made)) == []


@pytest.mark.parametrize("damage", ["altered", "one more", "manifest", "model"])
def test_damage_is_found_and_mended(made: RemotePath, expected: dict[str, bytes], damage: str) -> None:
    """As on a disk."""
    folder = names_of(made)
    part = folder / part_name(2)
    if damage == "altered":
        data = bytearray(part.read_bytes())
        data[1000] ^= 1
        part.write_bytes(bytes(data))
    elif damage == "one more":
        (folder / part_name(7)).write_bytes(part.read_bytes())
    elif damage == "manifest":
        manifest = record_folder(folder) / "manifest.json"
        manifest.write_bytes(manifest.read_bytes().replace(b'"seed": 1', b'"seed": 2'))
    else:
        (tiny.place(made).path / "automaton.safetensors").write_bytes(b"0")
    assert namegen.verify(str(made))
    assert namegen.verify(str(made), repair=True) == []
    assert tree(made) == expected


def test_an_object_with_any_name(made: RemotePath) -> None:
    """What others have put there stops nobody; a repair puts it aside."""
    (names_of(made) / "we:ird@x?#").write_bytes(b"precious")
    (problem,) = namegen.verify(str(made))
    assert "we:ird@x?#: is not a part of the data set" in problem
    assert namegen.verify(str(made), repair=True) == []
    assert (made / "aside" / names_of(made).parent.name / "seed=1" / "we:ird@x?#").read_bytes() == b"precious"
    assert tiny.job(made).made == 0


def test_a_part_of_another_size(made: RemotePath) -> None:
    """A job makes it again, and no other."""
    (names_of(made) / part_name(1)).write_bytes(b"PAR1")
    assert tiny.job(made).made == 1
    assert namegen.verify(str(made)) == []


def test_two_at_once(made: RemotePath) -> None:
    """Jobs of different counts take turns: one waits, and what is there in the end is right for both."""
    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(tiny.job, made, count=count, seed=3) for count in (900, 300, 700)]
    assert sum(job.result().made for job in jobs) in {5, 6, 7, 8}  # the last part is made again where it was short
    assert namegen.verify(str(made), deep=True) == []


def test_one_at_a_time(prefix: RemotePath, caplog: pytest.LogCaptureFixture) -> None:
    """Eight threads add to a number in turns, and none is lost; nobody is busy behind them."""
    counter = prefix / "counter"
    caplog.set_level(logging.INFO, "namegen")
    counter.write_bytes(b"0")

    def add() -> None:
        with alone_in(prefix) as hold:
            before = int(counter.read_bytes())
            time.sleep(0.02)
            hold.check()
            counter.write_bytes(str(before + 1).encode())

    with ThreadPoolExecutor(4) as pool:
        for job in [pool.submit(add) for _ in range(8)]:
            job.result()
    assert counter.read_bytes() == b"8"
    assert f"Another job is working in {prefix}: waiting for it to end" in caplog.messages
    assert not is_busy(prefix)
    assert sorted(entries(prefix)) == [".lock", "counter"]
    holder = holder_of(prefix)
    assert holder
    assert (holder.generation, holder.is_released) == (8, True)


def test_a_lock_of_the_dead(prefix: RemotePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds for a term; then one of those that wait takes over, and says nothing of it."""
    monkeypatch.setenv("NAMEGEN_LEASE_SECONDS", "1")
    dead = Leaseholder(owner="somebody", generation=4, host="", process=1, term=1)
    (prefix / ".lock").write(dead.model_dump_json().encode(), None)
    started = time.monotonic()
    with alone_in(prefix) as hold:
        assert time.monotonic() - started >= 1
        assert hold.key.startswith("5-")
        assert is_busy(prefix)
    assert not is_busy(prefix)
    assert not entries(prefix)


def test_a_job_that_lost_its_lock_stops(prefix: RemotePath, faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose network was gone for a while finds another at work, and writes nothing more."""
    monkeypatch.setenv("NAMEGEN_LEASE_SECONDS", "1")
    with alone_in(prefix) as hold:
        hold.check()
        monkeypatch.setattr(RemotePath, "write", fails)
        time.sleep(0.8)
        with pytest.raises(OutputError, match="another job may be working in it by now"):
            hold.check()
    assert faults.requests


def fails(*_: object) -> None:
    raise OSError(110, "no network")


def test_a_job_that_lost_its_lock_writes_no_manifest(made: RemotePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor any part."""
    before = tree(made)
    monkeypatch.setattr(lease.Lease, "check", lambda self: fails())
    with pytest.raises(OSError, match="no network"):
        tiny.job(made, count=2000)
    assert tree(made) == before


def test_faults_that_pass(prefix: RemotePath, faults: Faults, expected: dict[str, bytes]) -> None:
    """Requests that fail, before or after they are done, that are slow or cut off: the end has the same bytes."""
    every = Faults(error=0.1, late_error=0.1, slow=0.1, cut=0.1)
    faults.__dict__.update(every.__dict__)
    tiny.job(prefix)
    assert namegen.verify(str(prefix)) == []
    assert {"error", "late_error", "slow", "cut", ""} == set(faults.done)
    faults.__dict__.update(Faults().__dict__)
    assert tree(prefix) == expected


def test_a_store_that_does_not_answer_in_time(
    prefix: RemotePath, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked again."""
    monkeypatch.setitem(remote.CLIENT, "timeout", timedelta(seconds=0.5))
    connect()
    (prefix / "x").write_bytes(b"there")
    faults.slow, faults.seconds = 0.5, 1.0
    assert (prefix / "x").read_bytes() == b"there"


def test_a_fault_that_stays(made: RemotePath, faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job fails with an error of input and output, nothing half-written is there, and later it goes on."""
    monkeypatch.setitem(remote.RETRIES, "max_retries", 0)
    monkeypatch.setenv("NAMEGEN_LEASE_SECONDS", "1")
    connect()
    before = tree(made)
    faults.error, faults.only = 0.5, ("PUT",)
    with pytest.raises(OSError, match=r"500|Internal"):
        tiny.job(made, count=9000)
    faults.error = 0.0
    left = tree(made)
    assert all(left[path] == before[path] for path in before if part_name(4) not in path)
    tiny.job(made, count=3000)
    assert namegen.verify(str(made)) == []


def missing(monkeypatch: pytest.MonkeyPatch, faults: Faults) -> str:  # noqa: ARG001
    return "s3://no-such-bucket/out"


def forbidden(monkeypatch: pytest.MonkeyPatch, faults: Faults) -> str:  # noqa: ARG001
    faults.forbidden = True
    return f"{BUCKET}/out"


def nobody(monkeypatch: pytest.MonkeyPatch, faults: Faults) -> str:  # noqa: ARG001
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setitem(remote.RETRIES, "max_retries", 0)
    return f"{BUCKET}/out"


def no_credentials(monkeypatch: pytest.MonkeyPatch, faults: Faults) -> str:  # noqa: ARG001
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    return f"{BUCKET}/out"


def no_package(monkeypatch: pytest.MonkeyPatch, faults: Faults) -> str:  # noqa: ARG001
    monkeypatch.setitem(sys.modules, "obstore", None)
    return "gs://bucket/out"


@pytest.mark.parametrize(
    ("where", "says"),
    [
        (missing, "The specified bucket does not exist"),
        (forbidden, "Access Denied|Forbidden"),
        (nobody, "no answer from http://127.0.0.1:9 .Connection refused"),
        (no_credentials, "there are no credentials"),
        (no_package, r"pip install 'namegen\[gs\]'"),
    ],
)
def test_a_store_that_cannot_be_used_is_refused(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    faults: Faults,
    where: Callable[[pytest.MonkeyPatch, Faults], str],
    says: str,
) -> None:
    """In a line, before anything is made."""
    url = where(monkeypatch, faults)
    connect()
    line = refusal(capsys, *KNESER_NEY, "--output", url)
    assert SECRET not in line
    assert re.search(says, line)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3://key:secret@bucket/out", "credentials"),
        ("s3://bucket/out?sig=secret", "credentials"),
        ("S3://AKIA:secret@bucket/out", "credentials"),
        ("S3://", "has no bucket and prefix"),
        ("s3:/bucket/out", "Write s3://"),
        ("s3://bucket/../other", "has no bucket and prefix"),
        ("s3://bucket//out", "has no bucket and prefix"),
        ("https://example.com/out", "https:// is not supported"),
        ("simplecache::s3://bucket/out", "chained URLs"),
    ],
)
def test_addresses_that_are_refused(url: str, says: str) -> None:
    """Where credentials stand in one, they are not repeated."""
    with pytest.raises(SettingError, match=says) as caught:
        check_writable(location(url))
    assert "secret" not in str(caught.value)


def test_a_term_that_is_none(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Found before anything is made."""
    monkeypatch.setenv("NAMEGEN_LEASE_SECONDS", "soon")
    assert "NAMEGEN_LEASE_SECONDS is 'soon'. Set it to 1 to 99999 whole seconds" in refusal(
        capsys, *KNESER_NEY, "--output", f"{BUCKET}/out"
    )


def test_a_manifest_that_came_too_late(made: RemotePath) -> None:
    """It takes the place of none that its job did not know; where an answer was lost, its own is no other's."""
    folder = names_of(made)
    whole = open_manifest(folder, DatasetManifest).sound()
    assert whole
    with alone_in(record_folder(folder)) as hold:
        write_manifest(folder, whole.model_copy(update={"versions": {}}))  # of a job that was here before
        with pytest.raises(LeaseError, match="was written by another job in the meantime"):
            write_manifest(folder, whole, hold)
    there = open_manifest(folder, DatasetManifest).sound()
    assert there
    assert there.versions == {}
    with alone_in(record_folder(folder)) as hold:
        write_manifest(folder, whole, hold)
        assert isinstance(hold, Lease)
        hold._known.clear()  # as if no answer had come
        write_manifest(folder, whole.model_copy(update={"versions": {}}), hold)


def test_a_store_without_conditional_writes_is_refused(prefix: RemotePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two jobs could not be kept apart in it."""
    write = RemotePath.write
    monkeypatch.setattr(RemotePath, "write", lambda path, data, _: write(path, data, path.tag()))
    with pytest.raises(OutputError, match="asked only to create"):
        check_writable(prefix)


@pytest.mark.parametrize(
    "command", ["sample", "explain -- emma", "score", "inspect", "report", "verify", "prune --keep 1"]
)
def test_what_a_store_keeps_to_itself(command: str, faults: Faults, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command says so in a line, and what to look at."""
    faults.forbidden = True
    name, *others = command.split()
    assert main([name, f"{BUCKET}/out", *others]) in {1, 2}
    (line,) = "".join(capsys.readouterr()).splitlines()
    assert re.search("Access Denied|Forbidden", line)
    assert line.endswith("Check the credentials, its permissions and the network.")


def test_verify_says_what_it_cannot_read() -> None:
    (problem,) = namegen.verify("s3://no-such-bucket/out")
    assert "there is no such folder" in problem or "does not exist" in problem
    (problem,) = namegen.verify("ftp://somewhere/out")
    assert "ftp:// is not supported" in problem
    with pytest.raises(ArtifactError, match="no such file"):
        namegen.load(f"{BUCKET}/nothing")


@pytest.mark.usefixtures("first")
def test_the_command_killed_and_run_again(
    environment: dict[str, str], server: str, output: Path, prefix: RemotePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real job, killed in the middle, goes on when its lock is dead; nobody is told the credentials."""
    monkeypatch.setenv("NAMEGEN_LEASE_SECONDS", "2")
    for file in sorted((output / "models").rglob("*.*")):
        if file.is_file():
            (prefix / str(file.relative_to(output))).write_bytes(file.read_bytes())
    given = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "NAMEGEN_"))}
    own = {**environment, **given, "PREFECT_API_URL": server}
    arguments = [*KNESER_NEY, "--count", "2500000", "--output", str(prefix)]
    command = [*COMMAND, *arguments]

    def parts() -> list[str]:
        found = [name for folder, names in prefix.files_below() for name in names if name.startswith("part-")]
        return sorted(found)

    with subprocess.Popen(command, cwd=ROOT, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        assert wait_until(lambda: bool(parts()), 60)
        process.kill()
    assert 1 <= len(parts()) <= 3
    (record,) = [folder for folder, _ in (prefix / "datasets").files_below() if folder.name == "seed=42"]
    journals = [record / name for name in entries(record) if name.startswith("journal-")]
    finished = sum(journal.read_bytes().count(b'"number"') for journal in journals)
    done = run(own, *arguments)
    assert done.returncode == 0, done.stderr
    assert "waiting for it to end" in done.stderr
    assert f"Wrote {3 - finished} of 3 parts in {prefix}" in done.stderr or finished == 3
    assert done.stdout.splitlines()[-1].startswith(f"{prefix}/names/model=kneser-ney-")
    verified = [sys.executable, "-m", "namegen", "verify", str(prefix)]
    checked = subprocess.run(verified, env=own, capture_output=True, text=True, timeout=120, check=False)
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stderr
    said = [done.stdout, done.stderr, checked.stderr, json.dumps(call(f"{server}/artifacts/filter", {}))]
    said.append(json.dumps(call(f"{server}/flow_runs/filter", {})))
    written = [(folder / name).read_bytes() for folder, names in prefix.files_below() for name in names]
    assert not any(SECRET in text for text in said)
    assert not any(SECRET.encode() in data for data in written)


def test_a_list_in_a_store(prefix: RemotePath) -> None:
    """It is read where it lies; one that is missing is named."""
    (prefix / "names.csv.gz").write_bytes(gzip.compress(b"name,births\nEmma,3\nAva,1\n"))
    assert read_corpus(f"{prefix}/names.csv.gz").names == ("Emma", "Ava")
    with pytest.raises(CorpusError, match=r"none\.txt: there is no such file"):
        read_corpus(f"{prefix}/none.txt")
