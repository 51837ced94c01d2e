"""Finds out whether a model's folder is what its manifest says, and if not makes the model again."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from pydantic import ValidationError

from namegen.automaton import automaton as automata
from namegen.corpus.corpus import Corpus, corpus_of, read_corpus
from namegen.errors import ArtifactError, NamegenError
from namegen.outputs.dataset import MANIFEST as DATASET_MANIFEST
from namegen.outputs.dataset import DatasetManifest
from namegen.outputs.manifests import Manifest, parse_manifest
from namegen.outputs.model_folder import (
    AUTOMATON,
    FILES,
    MANIFEST,
    ModelFolder,
    ModelManifest,
    model_name,
    read_model_manifest,
    remedy_for,
)
from namegen.storage.files import Location, absolute, sha256_of, sizes, temporaries
from namegen.storage.locks import alone_in

M = TypeVar("M", bound=Manifest)


NAME = re.compile(r"[a-z-]+-[0-9a-f]{12}")
MOST_UNVOUCHED = 2**22  # names, of a file whose checksum is not known


def is_model(folder: Location, files: Collection[str]) -> bool:
    """Whether a folder with these files is meant to be a model's."""
    return AUTOMATON in files or NAME.fullmatch(absolute(folder).name) is not None


class ModelCheck:
    """Looks at one model's folder."""

    def __init__(self, path: Location) -> None:
        self.path = path
        self.place = absolute(path)
        self.summary = f"a model, {len(FILES)} files as its manifest has them"

    def faults(self) -> list[NamegenError]:
        """What is wrong with the folder.

        Raises:
            ArtifactError: where what is wrong leaves nothing else to be looked at.
        """
        manifest = read_model_manifest(self.path)
        if not manifest:
            raise ArtifactError("has no manifest: it is unfinished", str(self.path), "Run its job again")
        faults: list[NamegenError] = []
        if self.place.parent.name == "models" and self.place.name != manifest.model:
            faults.append(self._fault(MANIFEST, f"is of {manifest.model}, and not in the folder of that name"))
        faults += filter(None, (self._look_at(name, manifest) for name in sorted(FILES)))
        if not faults:
            ModelFolder(self.path, manifest.configuration).load()  # kept, for the data sets that were drawn from it
        if not faults and self._names_of(manifest.configuration, None) is None:
            faults.append(self._fault("names.parquet", "has not the names that the model is of"))
        checkpoint = ModelFolder(self.path, {}).checkpoint.path
        left = [*temporaries(self.path), *([checkpoint] if checkpoint.exists() else [])]
        return faults + [self._fault(file.name, "was left by a job that died") for file in left]

    def repair(self, log: Callable[[str], None]) -> None:
        """Fits the model again, and writes its folder anew.

        Raises:
            ArtifactError: where what is left does not say how, or another model comes of it; then nothing is written.
        """
        with alone_in(self.path, log):  # which removes what is half-written
            manifest, is_whole = _parsed(self.path / MANIFEST, ModelManifest)
            if manifest and is_whole:
                ModelFolder(self.path, {}).checkpoint.remove()
                if not self._faults_now():
                    return
            drawn = self.place.parent.parent / "names" / f"model={self.place.name}"
            datasets = [_parsed(drawn / seed / DATASET_MANIFEST, DatasetManifest) for seed in _names_in(drawn)]
            found = [manifest, *(manifest_of for manifest_of, _ in datasets)]
            # a model's name is a hash of its configuration, so that the right one can be told wherever it is found
            fitting = (
                each.configuration for each in found if each and model_name(each.configuration) == self.place.name
            )
            configuration = next(fitting, None)
            if configuration is None:
                what = "has lost its settings with its manifest"
                raise ArtifactError(what, str(self.path), "Remove the folder and run its job again")
            notes = manifest.written.notes if manifest else {}
            corpus = self._names_of(configuration, MOST_UNVOUCHED) or _corpus_at(notes.get("names"), configuration)
            if corpus is None:
                remedy = f"Remove {self.path} and run its job again"
                raise ArtifactError("are not the model's, and no others are", str(self.path / "names.parquet"), remedy)
            automata_known: list[str | None] = [manifest.automaton_sha256] if manifest and is_whole else []
            automata_known += [str(each.stream.get("automaton_sha256")) for each, whole in datasets if each and whole]
            expected = (automata_known or [self._sha256_of_automaton()])[0]
            log(f"{self.path}: fitting it again")
            from namegen.pipeline import make_again  # with polars and torch slow to import

            make_again(ModelFolder(self.path, configuration), corpus, expected, notes, log)

    def _faults_now(self) -> list[NamegenError]:
        try:
            return self.faults()
        except ArtifactError as error:
            return [error]

    def _look_at(self, name: str, manifest: ModelManifest) -> NamegenError | None:
        try:
            if sha256_of(self.path / name) != manifest.files[name]:
                return self._fault(name, "was altered: it does not fit its checksum")
        except ArtifactError as error:
            return self._fault(name, error.what)
        return None

    def _fault(self, name: str, what: str) -> ArtifactError:
        return ArtifactError(what, str(self.path / name), remedy_for(self.path))

    def _names_of(self, configuration: dict[str, Any], most: int | None) -> Corpus | None:
        """The names that the folder holds, if they are those that the model is of."""
        try:
            corpus = corpus_of(ModelFolder(self.path, configuration).names(most).to_pylist())
        except NamegenError:
            return None
        return corpus if corpus.sha256 == configuration.get("names_sha256") else None

    def _sha256_of_automaton(self) -> str | None:
        try:
            return automata.load(self.path).sha256
        except ArtifactError:
            return None


def _names_in(folder: Location) -> list[str]:
    """What lies in a folder, if it is there."""
    try:
        return sorted(sizes(folder))
    except OSError:
        return []


def _parsed(path: Location, kind: type[M]) -> tuple[M | None, bool]:
    """What is left of a manifest, and whether it is as it was written.

    Raises:
        ArtifactError: where it is of a newer format, which is not ours to mend.
    """
    try:
        return parse_manifest(path, kind)
    except (OSError, ValidationError):
        return None, False


def _corpus_at(path: object, configuration: dict[str, Any]) -> Corpus | None:
    """The names of the file that the manifest names, if they are still those that the model is of."""
    try:
        corpus = read_corpus(str(path))
    except NamegenError:
        return None
    return corpus if corpus.sha256 == configuration.get("names_sha256") else None
