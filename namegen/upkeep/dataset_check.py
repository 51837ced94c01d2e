"""Finds out whether a data set is what its manifest says and its model draws, and repairs it.

A repair only ever adds what is missing, or replaces what is damaged, and always by the bytes that are recorded. It
never changes how many rows there are, finishes nothing that no job has finished, and deletes nothing: a file that does
not belong to the data set is put aside. What it cannot decide it leaves as it is, and says so.
"""

from __future__ import annotations

import logging
import shlex
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count

from namegen.device import cores
from namegen.errors import ArtifactError, NamegenError
from namegen.outputs import dataset, layout
from namegen.outputs.dataset import DatasetManifest, State
from namegen.outputs.journal import Part, journals_in
from namegen.outputs.layout import part_name, part_number
from namegen.outputs.manifests import write_manifest
from namegen.outputs.model_folder import ModelFolder, model_name
from namegen.outputs.room import check_room
from namegen.outputs.rows import SAMPLE, Source, difference
from namegen.outputs.wish import Wish, wish_of
from namegen.outputs.writer import in_order, restore_parts
from namegen.storage.files import Location, absolute, local_copy, make_folder, sha256_of, temporaries
from namegen.storage.locks import alone_in

AGAIN = "If nothing can be recovered, remove it, and run its job again with its --count"
log = logging.getLogger(__name__)


@dataclass
class Findings:
    """The result of checking a data set.

    Args:
        manifest: the one that can be trusted; None if there is none.
        copies: for the manifest and for its copy, what it has to become again; None if it is right.
        source: where the rows come from; None if that cannot be told.
        missing: the recorded parts that are missing or altered.
        strays: what a reader could take for a part.
        leftovers: files in the record that nobody needs any more.
    """

    state: State
    faults: list[NamegenError] = field(default_factory=list)
    manifest: DatasetManifest | None = None
    copies: dict[bool, DatasetManifest] = field(default_factory=dict)
    source: Source | None = None
    missing: list[Part] = field(default_factory=list)
    strays: list[Location] = field(default_factory=list)
    leftovers: list[Location] = field(default_factory=list)


def is_dataset(folder: Location) -> bool:
    """Whether a folder is meant to be a data set's."""
    return layout.has_seed(folder)


class DatasetCheck:
    """Checks one data set.

    Args:
        path: the folder of its parts.
        deep: compare all rows with what the automaton draws.
        model: the model's folder; None for the one in the same output folder.
    """

    def __init__(self, path: Location, *, deep: bool = False, model: Location | None = None) -> None:
        self.path, self.deep = path, deep
        self.model = model or layout.model_folder(layout.output_of(path), layout.model_of(path) or "")
        self.lock = layout.record_folder(path)
        self.remedy = f"Repair it with namegen verify --repair {path}"
        self.summary = ""

    def faults(self) -> list[NamegenError]:
        """What is wrong with it.

        Raises:
            NewerFormatError: if its format is newer.
        """
        findings = self._check()
        if findings.manifest:
            compared = "every row" if self.deep else f"up to {SAMPLE:,} rows of each"
            number = dataset.parts_for(findings.manifest.rows)
            parts = f"{number:,} part{'s' * (number > 1)}"
            self.summary = f"{findings.manifest.rows:,} names in {parts}, {compared} compared with the model"
        return findings.faults

    def repair(self) -> None:
        """Puts back what is missing or damaged, by the bytes that are recorded.

        Raises:
            OutputError: if the disk has no room.
        """
        with alone_in(self.model) as model, alone_in(self.lock) as record:
            findings = self._check()
            model.check()
            record.check()
            for is_copy, manifest in findings.copies.items():
                write_manifest(self.path, manifest, record, copy=is_copy)
            for stray in findings.strays:
                self._put_aside(stray)
            for left in findings.leftovers:
                left.unlink(missing_ok=True)  # a network disk may do it twice
            if findings.source and findings.manifest and findings.missing:
                check_room(self.path, findings.manifest.rows, findings.source.known.to_pylist())
                source = findings.source
                made = restore_parts(
                    self.path,
                    findings.missing,
                    source.stream,
                    source.rows,
                    workers=cores(),
                    check_alone=record.check,
                )
                log.info("%s: %s of %s parts were made again", self.path, made, len(findings.manifest.part_sha256))

    def _check(self) -> Findings:
        source, unsourced = self._source()
        findings = Findings(State.of(self.path, source.stream if source else None), source=source)
        if unsourced:
            findings.faults.append(unsourced)
        self._check_manifest(findings)
        self._check_parts(findings)
        self._find_strays(findings)
        return findings

    def _fault(self, place: Location, what: str, remedy: str = "") -> ArtifactError:
        return ArtifactError(what, str(place), remedy or self.remedy)

    def _source(self) -> tuple[Source | None, NamegenError | None]:
        """Where the rows come from, or why that cannot be told. The folder's place says which model and seed it is."""
        seed, name = layout.seed_of(self.path), layout.model_of(self.path)
        if seed is None:
            remedy = "Call it seed= and a number below 2^64, without leading zeros"
            return None, self._fault(self.path, "is not a valid name for a seed's folder", remedy)
        if name is None:
            what = "is not in its place, below names/model=<model>-<id> of an output folder"
            return None, self._fault(self.path, what, "Move it back, or verify the output folder")
        try:
            source = Source.load(self.model, seed, wish=wish_of(self.path))
        except NamegenError as error:
            return None, error
        if not source:
            what = f"cannot be compared with its model, which is missing: {self.model}"
            return None, self._fault(self.path, what, "Run the job again, or name the model with --model")
        if name != model_name(source.configuration):
            # not damage, but names that were drawn from another model: not ours to replace
            remedy = "Name its own model with --model, or move the folder elsewhere and run the job again"
            return None, self._fault(self.path, f"was not drawn from {self.model}", remedy)
        return source, None

    def _check_manifest(self, findings: Findings) -> None:
        state, source = findings.state, findings.source
        both = {False: state.opened, True: state.copy}
        findings.manifest = state.sealed(source.stream if source else None)
        for is_copy, opened in both.items():
            if findings.manifest and opened.trusted != findings.manifest:
                path = DatasetManifest.path(self.path, copy=is_copy)
                findings.copies[is_copy] = findings.manifest
                is_other = "is not that of this data set, or of fewer rows than its copy"
                what = opened.fault.what if opened.fault else is_other if opened.manifest else "is missing"
                findings.faults.append(self._fault(path, what))
        if not findings.manifest:
            path = DatasetManifest.path(self.path)
            if both[False].manifest or both[False].fault or both[True].manifest or both[True].fault:
                fault = both[False].fault or both[True].fault
                what = fault.what if fault else "is not that of this data set"
                findings.faults.append(self._fault(path, f"{what}; nor can its copy be used", AGAIN))
            elif state.has_journal or all(part_number(name) is None for name in state.files):
                what = "is unfinished: the job that was making it died"
                findings.faults.append(self._fault(self.path, what, self._command(findings)))
            else:
                findings.faults.append(self._fault(path, "is missing, and so is its copy", AGAIN))
        elif state.is_begun(findings.manifest.rows):
            what = "is unfinished: the job that was adding to it died"
            findings.faults.append(self._fault(self.path, what, self._command(findings)))
        else:  # what a job has recorded, the manifest has too
            findings.leftovers += [self.lock / name for name in journals_in(self.lock)]

    def _check_parts(self, findings: Findings) -> None:
        parts = list(findings.manifest.parts().values()) if findings.manifest else []
        with closing(in_order(lambda part: self._fault_of(part, findings), parts, cores())) as checked:
            findings.faults += filter(None, checked)

    def _fault_of(self, part: Part, findings: Findings) -> NamegenError | None:
        path = self.path / part_name(part.number)
        try:
            with local_copy(path) as copy:
                actual, later = sha256_of(copy), findings.state.journal.get(part.number)
                if actual != part.sha256 and later and later.rows > part.rows and later.sha256 == actual:
                    return None  # of the job that was adding to it
                if actual == part.sha256:
                    what = difference(copy, part, findings.source, deep=self.deep) if findings.source else None
                    remedy = f"Its checksum is right, so a repair leaves it. {AGAIN}"
                    return self._fault(path, what, remedy) if what else None
                what = "was altered: its checksum does not match"
        except ArtifactError as error:
            what = error.what
        except OSError as error:
            what = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        findings.missing.append(part)
        return self._fault(path, what)

    def _find_strays(self, findings: Findings) -> None:
        manifest, journal = findings.manifest, findings.state.journal
        for name, size in sorted(findings.state.files.items()):
            number = part_number(name)
            # without a manifest it may be a part
            is_part = number is not None and (
                not manifest or number < dataset.parts_for(manifest.rows) or number in journal
            )
            if size is not None and is_part:
                continue
            findings.strays.append(self.path / name)
            what = "is not a part of the data set" if size is not None else "is a folder, and a data set has none"
            findings.faults.append(self._fault(self.path / name, what))
        for left in (*temporaries(self.lock), *findings.leftovers):
            findings.faults.append(self._fault(left, "was left by a job that died"))

    def _command(self, findings: Findings) -> str:
        """The command that finishes the data set, as far as it is known."""
        asked, source = findings.state.asked, findings.source
        if not (asked and source):
            return "Run its job again, with its --count"
        origin, c = ModelFolder(source.model).manifest().written.origin, source.configuration
        options = {
            "names": origin.get("names"),
            "model": c["model"],
            "preset": origin.get("preset") if c.get("networks") else None,
            "holdout": c["holdout"],
            "background": origin.get("background") or ("none" if c.get("few") else None),
            "order": c["order"],
            "cells": c.get("cells"),
            "seed": source.seed,
            "count": asked,
            "output": layout.output_of(self.path),
        }
        words = [f"--{name} {shlex.quote(str(value))}" for name, value in options.items() if value is not None]
        words += _options(source.wish)
        return f"Finish it with python flows/generate.py {' '.join(words)}"

    def _put_aside(self, stray: Location) -> None:
        """Moves what does not belong to the data set out of the readers' way."""
        folder = layout.aside_folder(self.path)
        make_folder(folder)
        names = (folder / f"{stray.name}{f'.{number}' if number else ''}" for number in count())
        aside = next(name for name in names if not name.exists() and not name.is_symlink())
        stray.rename(aside)  # type: ignore[arg-type] # both are of one kind
        log.info("%s is now %s", absolute(stray), aside)


def _options(wish: Wish) -> list[str]:
    """The options of a job for what it is asked for; the files of its lists are only known to whoever asked."""
    q, plain = wish.question, Wish()
    texts = {name: getattr(q, name) for name in ("prefix", "suffix", "contains", "pattern") if getattr(q, name)}
    if q.length:
        shortest, longest = q.length
        texts["length"] = f"{shortest}-{'' if longest is None else longest}"
    if wish.temperature != plain.temperature:
        texts["temperature"] = f"{wish.temperature!r}"
    options = [f"--{name} {shlex.quote(value)}" for name, value in texts.items()]
    options += [f"--{name} FILE" for name in ("without", "block") if getattr(q, name)]
    return [*options, *(["--novel"] if q.novel else []), *(["--distinct"] if wish.distinct else [])]
