"""Finds out whether a data set is what its manifest says and its model draws, and if not makes it so.

Nothing that is read is trusted before its checksum is right. Files that are no part of the data set are none of ours: a
repair puts them aside, where no reader takes them for a part, unless they are copies of one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count

from pydantic import ValidationError

from namegen.device import cores
from namegen.errors import ArtifactError, NamegenError
from namegen.outputs import dataset
from namegen.outputs.dataset import MANIFEST, DatasetManifest, number_of, part_name
from namegen.outputs.journal import NAME as JOURNAL
from namegen.outputs.journal import Journal, Part
from namegen.outputs.manifests import parse_manifest
from namegen.outputs.model_folder import ModelFolder, model_name, read_model_manifest
from namegen.outputs.part import SAMPLE, Source, difference, rows_by_footer
from namegen.outputs.room import check_room
from namegen.outputs.writer import in_order, write_dataset
from namegen.storage.files import Location, absolute, local_copy, sha256_of, sizes, temporaries
from namegen.storage.leases import LOCK
from namegen.storage.locks import alone_in
from namegen.storage.object_store import RemotePath

SEED = re.compile(r"seed=(0|[1-9][0-9]{0,19})")


@dataclass
class Findings:
    """What a look at a data set came to.

    Args:
        names: what lies in the folder, with its bytes.
        manifest: what is left of it.
        is_whole: whether it is as it was written, and of this data set.
        source: where its rows come from, or else why that cannot be told.
        good: the parts that can be kept, those that a job which died had added among them.
        wrong: files with the right checksum and the wrong rows.
        strays: what a reader could take for a part.
    """

    faults: list[NamegenError] = field(default_factory=list)
    manifest: DatasetManifest | None = None
    is_whole: bool = False
    source: Source | None = None
    unsourced: NamegenError | None = None
    good: dict[int, Part] = field(default_factory=dict)
    wrong: list[Location] = field(default_factory=list)
    strays: list[Location] = field(default_factory=list)
    names: dict[str, int | None] = field(default_factory=dict)


def is_dataset(folder: Location, files: Collection[str]) -> bool:
    """Whether a folder with these files is meant to be a data set's."""
    return MANIFEST in files or any(map(JOURNAL.fullmatch, files)) or absolute(folder).name.startswith("seed=")


class DatasetCheck:
    """Looks at one data set.

    Args:
        deep: compares all rows with what the automaton draws.
        model: the model's folder; None for the one that belongs to the data set's.
    """

    def __init__(self, path: Location, deep: bool = False, model: Location | None = None) -> None:  # noqa: FBT001, FBT002
        self.path, self.deep, self.model, self.place = path, deep, model, absolute(path)
        self.remedy = f"Mend it with namegen verify --repair {path}"
        self.summary = ""

    def faults(self) -> list[NamegenError]:
        """What is wrong with it.

        Raises:
            ArtifactError: where its format is newer.
        """
        found = self._look()
        if found.manifest:
            compared = "every row" if self.deep else f"up to {SAMPLE:,} rows of each"
            number = dataset.parts_of(found.manifest.rows)
            parts = f"{number:,} part{'s' * (number > 1)}"
            self.summary = f"{found.manifest.rows:,} names in {parts}, {compared} compared with the model"
        return found.faults

    def repair(self, log: Callable[[str], None]) -> None:
        """Makes again what is at fault.

        Raises:
            ArtifactError: where its model is not there, or nothing says how many rows it had.
        """
        with alone_in(self.path, log) as still_alone:
            found = self._look()
            source = found.source
            if not source:
                assert found.unsourced
                raise found.unsourced
            stream, rows = source.automaton.stream(source.seed), self._rows(found, log)
            check_room(self.path, rows, source.known.to_pylist())
            for file in found.wrong:
                file.unlink(missing_ok=True)
            if not found.is_whole:
                journal = Journal(self.path, stream)
                for part in found.good.values():
                    journal.add(part)
                (self.path / MANIFEST).unlink(missing_ok=True)
            vouched = found.manifest.part_sha256 if found.manifest else ()
            own = {*(part.sha256 for part in found.good.values()), *vouched}
            for stray in found.strays:
                _put_aside(stray, own, log)
            configuration = source.model.configuration
            written = write_dataset(
                self.path, rows, stream, source.rows, configuration, cores(), still_alone=still_alone, good=found.good
            )
            log(f"{self.path}: kept {written.kept} parts, and made {written.made}")

    def _look(self) -> Findings:
        found = Findings(names=sizes(self.path))
        self._read_manifest(found)
        self._compare_with_source(found)
        vouched = found.manifest.parts() if found.manifest else {}
        stream = found.source.automaton.stream(found.source.seed) if found.source else {}
        added = Journal(self.path, stream).read(found.names)
        wrong: dict[int, NamegenError] = {}
        for parts in (vouched, added):
            # a journal may know of a longer part than the manifest, of a job that was adding to it, and of no shorter
            longer = [part for n, part in parts.items() if n not in vouched or part.rows >= vouched[n].rows]
            new = [part for part in longer if found.good.get(part.number) != part]
            with closing(in_order(lambda part: self._look_at(part, found), new, cores())) as looks:
                for part, fault in zip(new, looks, strict=True):
                    if not fault:
                        found.good[part.number] = part
                    elif parts is vouched:
                        wrong[part.number] = fault
        if found.is_whole:
            found.faults += [fault for number, fault in wrong.items() if number not in found.good]
        self._find_strays(found)
        return found

    def _fault(self, file: str, what: str) -> ArtifactError:
        return ArtifactError(what, str(self.path / file), self.remedy)

    def _read_manifest(self, found: Findings) -> None:
        try:
            found.manifest, found.is_whole = parse_manifest(self.path / MANIFEST, DatasetManifest)
            if not found.is_whole:
                found.faults.append(self._fault(MANIFEST, "was altered: it does not fit its checksum"))
        except FileNotFoundError:
            if any(map(JOURNAL.fullmatch, found.names)) or not _numbers(found):
                what = "is unfinished: a job that was making it has died"
                found.faults.append(ArtifactError(what, str(self.path), "Run the job again"))
            else:
                found.faults.append(self._fault(MANIFEST, "is missing"))
        except OSError as error:
            found.faults.append(self._fault(MANIFEST, f"cannot be read ({error.strerror})"))
        except ValidationError as error:
            found.faults.append(self._fault(MANIFEST, f"is not a manifest ({error.errors()[0]['msg']})"))

    def _compare_with_source(self, found: Findings) -> None:
        manifest = found.manifest if found.is_whole else None
        try:
            found.source = source = self._source(manifest)
        except NamegenError as error:
            found.unsourced = error
            found.faults.append(error)
            return
        expected = source.automaton.stream(source.seed), source.model.configuration
        if manifest and (manifest.stream, manifest.configuration) != expected:
            what = f"is not that of seed {source.seed} of the model {source.model.path.name}"
            found.faults.append(self._fault(MANIFEST, what))
            found.is_whole = False

    def _source(self, manifest: DatasetManifest | None) -> Source:
        """The folder's own place says which model and seed it is of; where it has none, its manifest does.

        Raises:
            NamegenError: where the model is not there, not sound, or not that of these names.
        """
        by_place = SEED.fullmatch(self.place.name)
        if self.place.name.startswith("seed=") and not (by_place and int(by_place[1]) < 2**64):
            remedy = "Call it seed= and a number below 2^64, without zeros in front"
            raise ArtifactError("is no folder of a seed", str(self.path), remedy)
        seed = int(by_place[1]) if by_place else manifest and manifest.stream.get("seed")
        name = manifest and model_name(manifest.configuration)
        if self.place.parent.name.startswith("model="):
            name = self.place.parent.name.removeprefix("model=")
        folder = self.model or (by_place and name and self.place.parent.parent.parent / "models" / name)
        if not folder or not isinstance(seed, int):
            raise ArtifactError("lies apart from its model", str(self.path), "Name the model with --model")
        own = read_model_manifest(folder)
        automaton = ModelFolder(folder, own.configuration).load() if own else None
        if not own or not automaton:
            what = f"cannot be compared with its model, which is not in {folder}"
            raise ArtifactError(what, str(self.path), "Run the job again, or name the model with --model")
        if name not in {None, own.model} or (manifest and manifest.stream.get("automaton_sha256") != automaton.sha256):
            # no damage, but names that were drawn from another model: not ours to replace
            remedy = "Name its own with --model, or move the folder elsewhere and run the job again"
            raise ArtifactError(f"holds no names of {folder}", str(self.path), remedy)
        model = ModelFolder(folder, own.configuration)
        return Source(model, automaton, model.names(), seed)

    def _look_at(self, part: Part, found: Findings) -> NamegenError | None:
        file = part_name(part.number)
        try:
            with local_copy(self.path / file) as copy:
                if sha256_of(copy) != part.sha256:
                    return self._fault(file, "was altered: it does not fit its checksum")
                what = difference(copy, part, found.source, self.deep) if found.source else None
        except ArtifactError as error:
            return self._fault(file, error.what)
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            return self._fault(file, "is missing" if missing else f"cannot be read ({error.strerror})")
        if what:
            found.wrong.append(self.path / file)
        return self._fault(file, what) if what else None

    def _find_strays(self, found: Findings) -> None:
        parts = dataset.parts_of(found.manifest.rows) if found.manifest else 0
        left = {path.name for path in temporaries(self.path)}
        for name, size in sorted(found.names.items()):
            path, number = self.path / name, number_of(name)
            if name in {MANIFEST, LOCK} or (number is not None and (number in found.good or number < parts)):
                continue
            if name in left or JOURNAL.fullmatch(name):
                if found.manifest:  # else the data set is known to be unfinished
                    what = "was left by a job that died: run it again, with its --count"
                    found.faults.append(self._fault(name, what))
            elif size is None:
                if not name.startswith((".", "_")) or _has_parts(path):
                    what = "is a folder in a data set, which has none"
                    found.faults.append(ArtifactError(what, str(path), "Move it elsewhere"))
            elif not name.startswith((".", "_")) or name.endswith(".parquet"):
                if not found.manifest and number is not None:
                    continue  # without a manifest it may be a part
                what = "is none of the data set's parts"
                found.faults.append(ArtifactError(what, str(path), "Move it elsewhere, or remove it"))
                found.strays.append(path)

    def _rows(self, found: Findings, log: Callable[[str], None]) -> int:
        """How many rows it had: by its manifest, by the parts that a job had added to it, or by its last part."""
        covered = 0
        while covered % dataset.PART_ROWS == 0 and (part := found.good.get(covered // dataset.PART_ROWS)):
            covered += part.rows
        if found.manifest and found.is_whole:
            return max(found.manifest.rows, covered)
        if _numbers(found) and found.source:
            last, stream = max(_numbers(found)), found.source.automaton.stream(found.source.seed)
            own = found.good.get(last)
            if rows := own.rows if own else rows_by_footer(self.path / part_name(last), last, stream):
                rows += last * dataset.PART_ROWS
                log(f"{self.path}: {rows:,} rows, by its last part; run its job, with its --count, if it had more")
                return rows
        if found.manifest:
            return found.manifest.rows
        raise ArtifactError("nothing says how many rows it had", str(self.path), "Run its job again, with its --count")


def _numbers(found: Findings) -> list[int]:
    """Of the files that are called as parts are."""
    return [number for name in found.names if (number := number_of(name)) is not None]


def _has_parts(folder: Location) -> bool:
    if isinstance(folder, RemotePath):
        return any(name.endswith(".parquet") for _, names in folder.files_below() for name in names)
    return any(folder.rglob("*.parquet"))


def _put_aside(stray: Location, own: Collection[str], log: Callable[[str], None]) -> None:
    """Removes a copy of a part, and gives another file a name that no reader of the folder takes for a part."""
    if stray.is_file() and stray.suffix == ".parquet" and sha256_of(stray) in own:
        stray.unlink()
        return
    names = (stray.with_name(f"_{stray.name}.aside{number or ''}") for number in count())
    aside = next(name for name in names if not name.exists() and not name.is_symlink())
    stray.rename(aside)  # type: ignore[arg-type] # both are of one kind
    log(f"{stray} is now {aside.name}")
