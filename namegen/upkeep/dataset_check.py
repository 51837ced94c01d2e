"""Finds out whether a data set is what its manifest says and its model draws, and if not, makes it so.

Nothing is trusted before its checksum is right. Files that do not belong to the data set are somebody else's: a repair
puts them aside, where no reader takes them for a part, unless they are copies of one.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count

from namegen.device import cores
from namegen.errors import ArtifactError, NamegenError
from namegen.outputs import dataset, layout
from namegen.outputs.dataset import DatasetManifest
from namegen.outputs.journal import NAME as JOURNAL
from namegen.outputs.journal import Journal, Part
from namegen.outputs.layout import part_name, part_number
from namegen.outputs.manifests import open_manifest
from namegen.outputs.model_folder import model_name
from namegen.outputs.room import check_room
from namegen.outputs.rows import SAMPLE, Source, difference, rows_by_footer
from namegen.outputs.writer import in_order, write_dataset
from namegen.storage.files import Location, absolute, entries, local_copy, sha256_of, temporaries
from namegen.storage.leases import LOCK
from namegen.storage.locks import alone_in
from namegen.storage.object_store import RemotePath

log = logging.getLogger(__name__)


@dataclass
class Findings:
    """The result of checking a data set.

    Args:
        names: the names in the folder, with their sizes.
        manifest: what is left of it.
        is_whole: whether it is as it was written, and belongs to this data set.
        source: where the rows come from, or else why that cannot be told.
        intact: the parts that can be kept, including those that a dead job had added.
        wrong: files with the right checksum and the wrong rows.
        strays: what a reader could take for a part.
    """

    faults: list[NamegenError] = field(default_factory=list)
    manifest: DatasetManifest | None = None
    is_whole: bool = False
    source: Source | None = None
    unsourced: NamegenError | None = None
    intact: dict[int, Part] = field(default_factory=dict)
    wrong: list[Location] = field(default_factory=list)
    strays: list[Location] = field(default_factory=list)
    names: dict[str, int | None] = field(default_factory=dict)

    def part_numbers(self) -> list[int]:
        """The numbers of the files that are named like parts."""
        return [number for name in self.names if (number := part_number(name)) is not None]


def is_dataset(folder: Location, files: Collection[str]) -> bool:
    """Whether a folder with these files is meant to be a data set's."""
    return DatasetManifest.FILE in files or any(map(JOURNAL.fullmatch, files)) or layout.has_seed(folder)


class DatasetCheck:
    """Checks one data set.

    Args:
        deep: compare all rows with what the automaton draws.
        model: the model's folder; None for the one in the same output folder.
    """

    def __init__(self, path: Location, *, deep: bool = False, model: Location | None = None) -> None:
        self.path, self.deep, self.model = path, deep, model
        self.remedy = f"Repair it with namegen verify --repair {path}"
        self.summary = ""

    def faults(self) -> list[NamegenError]:
        """What is wrong with it.

        Raises:
            ArtifactError: if its format is newer.
        """
        findings = self._check()
        if findings.manifest:
            compared = "every row" if self.deep else f"up to {SAMPLE:,} rows of each"
            number = dataset.parts_for(findings.manifest.rows)
            parts = f"{number:,} part{'s' * (number > 1)}"
            self.summary = f"{findings.manifest.rows:,} names in {parts}, {compared} compared with the model"
        return findings.faults

    def repair(self) -> None:
        """Makes again what is wrong.

        Raises:
            ArtifactError: if its model is missing, or nothing says how many rows it had.
        """
        with alone_in(self.path) as check_alone:
            findings = self._check()
            source = findings.source
            if not source:
                assert findings.unsourced
                raise findings.unsourced
            rows = self._rows(findings)
            check_room(self.path, rows, source.known.to_pylist())
            for file in findings.wrong:
                file.unlink(missing_ok=True)
            if not findings.is_whole:
                journal = Journal(self.path, source.stream)
                for part in findings.intact.values():
                    journal.add(part)
                (self.path / DatasetManifest.FILE).unlink(missing_ok=True)
            recorded = findings.manifest.part_sha256 if findings.manifest else ()
            own = {*(part.sha256 for part in findings.intact.values()), *recorded}
            for stray in findings.strays:
                _put_aside(stray, own)
            written = write_dataset(
                self.path,
                rows,
                source.stream,
                source.rows,
                source.configuration,
                workers=cores(),
                check_alone=check_alone,
                intact=findings.intact,
            )
            log.info("%s: %s of %s parts were made again", self.path, written.made, written.made + written.kept)

    def _check(self) -> Findings:
        findings = Findings(names=entries(self.path))
        self._read_manifest(findings)
        self._compare_with_source(findings)
        recorded = findings.manifest.parts() if findings.manifest else {}
        added = Journal(self.path, findings.source.stream if findings.source else {}).read(findings.names)
        wrong: dict[int, NamegenError] = {}
        for parts in (recorded, added):
            # a journal may have a longer part than the manifest, from a job that was adding to it, and no shorter one
            longer = [part for n, part in parts.items() if n not in recorded or part.rows >= recorded[n].rows]
            new = [part for part in longer if findings.intact.get(part.number) != part]
            with closing(in_order(lambda part: self._fault_of(part, findings), new, cores())) as checked:
                for part, fault in zip(new, checked, strict=True):
                    if not fault:
                        findings.intact[part.number] = part
                    elif parts is recorded:
                        wrong[part.number] = fault
        if findings.is_whole:
            findings.faults += [fault for number, fault in wrong.items() if number not in findings.intact]
        self._find_strays(findings)
        return findings

    def _fault(self, file: str, what: str) -> ArtifactError:
        return ArtifactError(what, str(self.path / file), self.remedy)

    def _read_manifest(self, findings: Findings) -> None:
        opened = open_manifest(self.path, DatasetManifest)
        findings.manifest, findings.is_whole = opened.manifest, opened.trusted is not None
        if opened.fault:
            findings.faults.append(self._fault(DatasetManifest.FILE, opened.fault.what))
        elif not opened.manifest:
            if any(map(JOURNAL.fullmatch, findings.names)) or not findings.part_numbers():
                what = "is unfinished: the job that was making it died"
                findings.faults.append(ArtifactError(what, str(self.path), "Run the job again"))
            else:
                findings.faults.append(self._fault(DatasetManifest.FILE, "is missing"))

    def _compare_with_source(self, findings: Findings) -> None:
        manifest = findings.manifest if findings.is_whole else None
        try:
            findings.source = source = self._source(manifest)
        except NamegenError as error:
            findings.unsourced = error
            findings.faults.append(error)
            return
        if manifest and (manifest.stream, manifest.configuration) != (source.stream, source.configuration):
            what = f"does not describe seed {source.seed} of the model {source.model.name}"
            findings.faults.append(self._fault(DatasetManifest.FILE, what))
            findings.is_whole = False

    def _source(self, manifest: DatasetManifest | None) -> Source:
        """The folder's own place says which model and seed it belongs to; if it has none, its manifest does.

        Raises:
            NamegenError: if the model is missing, damaged, or not that of these names.
        """
        seed: object = layout.seed_of(self.path)
        if layout.has_seed(self.path) and seed is None:
            remedy = "Call it seed= and a number below 2^64, without leading zeros"
            raise ArtifactError("is not a valid name for a seed's folder", str(self.path), remedy)
        is_placed = seed is not None
        if not is_placed:
            seed = manifest and manifest.stream.get("seed")
        name = layout.model_of(self.path) or (manifest and model_name(manifest.configuration))
        folder = self.model
        if not folder and is_placed and name:
            folder = layout.model_folder(layout.output_of(self.path), name)
        if not folder or not isinstance(seed, int):
            raise ArtifactError(
                "is not in one output folder with its model", str(self.path), "Name the model with --model"
            )
        source = Source.load(folder, seed)
        if not source:
            what = f"cannot be compared with its model, which is missing: {folder}"
            raise ArtifactError(what, str(self.path), "Run the job again, or name the model with --model")
        is_other = name not in {None, model_name(source.configuration)}
        if is_other or (manifest and manifest.stream.get("automaton_sha256") != source.automaton.sha256):
            # not damage, but names that were drawn from another model: not ours to replace
            remedy = "Name its own model with --model, or move the folder elsewhere and run the job again"
            raise ArtifactError(f"was not drawn from {folder}", str(self.path), remedy)
        return source

    def _fault_of(self, part: Part, findings: Findings) -> NamegenError | None:
        file = part_name(part.number)
        try:
            with local_copy(self.path / file) as copy:
                if sha256_of(copy) != part.sha256:
                    return self._fault(file, "was altered: its checksum does not match")
                what = difference(copy, part, findings.source, deep=self.deep) if findings.source else None
        except ArtifactError as error:
            return self._fault(file, error.what)
        except OSError as error:
            is_missing = isinstance(error, FileNotFoundError)
            return self._fault(file, "is missing" if is_missing else f"cannot be read ({error.strerror})")
        if what:
            findings.wrong.append(self.path / file)
        return self._fault(file, what) if what else None

    def _find_strays(self, findings: Findings) -> None:
        parts = dataset.parts_for(findings.manifest.rows) if findings.manifest else 0
        left = {path.name for path in temporaries(self.path)}
        for name, size in sorted(findings.names.items()):
            path, number = self.path / name, part_number(name)
            own = number is not None and (number in findings.intact or number < parts)
            if name in {DatasetManifest.FILE, LOCK} or own:
                continue
            if name in left or JOURNAL.fullmatch(name):
                if findings.manifest:  # otherwise the data set is known to be unfinished
                    what = "was left by a job that died; run it again, with its --count"
                    findings.faults.append(self._fault(name, what))
            elif size is None:
                if not name.startswith((".", "_")) or _has_parts(path):
                    what = "is a folder, and a data set has none"
                    findings.faults.append(ArtifactError(what, str(path), "Move it elsewhere"))
            elif not name.startswith((".", "_")) or name.endswith(".parquet"):
                if not findings.manifest and number is not None:
                    continue  # without a manifest it may be a part
                what = "is not a part of the data set"
                findings.faults.append(ArtifactError(what, str(path), "Move it elsewhere, or remove it"))
                findings.strays.append(path)

    def _rows(self, findings: Findings) -> int:
        """How many rows it had: by its manifest, by the parts that a job had added to it, or by its last part."""
        covered = 0
        while covered % dataset.PART_ROWS == 0 and (part := findings.intact.get(covered // dataset.PART_ROWS)):
            covered += part.rows
        if findings.manifest and findings.is_whole:
            return max(findings.manifest.rows, covered)
        if findings.part_numbers() and findings.source:
            last = max(findings.part_numbers())
            own = findings.intact.get(last)
            rows = own.rows if own else rows_by_footer(self.path / part_name(last), last, findings.source.stream)
            if rows:
                rows += last * dataset.PART_ROWS
                more = "if it had more, run its job with its --count"
                log.info("%s: %s rows, by its last part; %s", self.path, f"{rows:,}", more)
                return rows
        if findings.manifest:
            return findings.manifest.rows
        what, remedy = "nothing says how many rows it had", "Run its job again, with its --count"
        raise ArtifactError(what, str(self.path), remedy)


def _has_parts(folder: Location) -> bool:
    if isinstance(folder, RemotePath):
        return any(name.endswith(".parquet") for _, names in folder.files_below() for name in names)
    return any(folder.rglob("*.parquet"))


def _put_aside(stray: Location, own: Collection[str]) -> None:
    """Removes a copy of a part, and gives any other file a name that no reader of the folder takes for a part."""
    if stray.is_file() and stray.suffix == ".parquet" and sha256_of(stray) in own:
        stray.unlink()
        return
    names = (stray.with_name(f"_{stray.name}.aside{number or ''}") for number in count())
    aside = next(name for name in names if not name.exists() and not name.is_symlink())
    stray.rename(aside)  # type: ignore[arg-type] # both are of one kind
    log.info("%s is now %s", absolute(stray), aside.name)
