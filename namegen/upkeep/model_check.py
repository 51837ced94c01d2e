"""Finds out whether a model's folder is what its manifest says, and if not, makes the model again."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from namegen.automaton import artifact
from namegen.corpus.corpus import Corpus, corpus_of, read_corpus
from namegen.corpus.reading import READING, STDIN
from namegen.errors import ArtifactError, NamegenError
from namegen.outputs import layout
from namegen.outputs.dataset import DatasetManifest
from namegen.outputs.manifests import open_manifest, remedy_for
from namegen.outputs.model_folder import FILES, ModelFolder, ModelManifest, model_name
from namegen.outputs.wish import ASKED
from namegen.storage.files import Location, absolute, sha256_of, temporaries
from namegen.storage.locks import alone_in

MOST_UNCHECKED = 2**22  # names in a file whose checksum is not known
log = logging.getLogger(__name__)


def is_model(folder: Location, files: Collection[str]) -> bool:
    """Whether a folder with these files is meant to be a model's."""
    return artifact.FILE in files or layout.has_model_name(folder)


class ModelCheck:
    """Checks one model's folder."""

    def __init__(self, path: Location) -> None:
        self.path = self.lock = path
        self.folder = ModelFolder(path)
        self.summary = f"a model, {len(FILES)} files as its manifest records them"

    def faults(self) -> list[NamegenError]:
        """What is wrong with the folder.

        Raises:
            ArtifactError: if what is wrong leaves nothing else to check.
        """
        manifest = self.folder.manifest()
        faults: list[NamegenError] = []
        if layout.has_model_name(self.path) and absolute(self.path).name != manifest.model:
            faults.append(self._fault(ModelManifest.FILE, f"belongs to {manifest.model}, but lies in another folder"))
        faults += filter(None, (self._fault_of(name, manifest) for name in sorted(FILES)))
        if not faults:
            self.folder.load()  # and kept in memory, for the data sets that were drawn from it
        if not faults and self._listed_names(manifest.configuration, None) is None:
            faults.append(self._fault("names.parquet", "does not hold the names that the model was fitted to"))
        checkpoint = self.folder.checkpoint.path
        left = [*temporaries(self.path), *([checkpoint] if checkpoint.exists() else [])]
        return faults + [self._fault(file.name, "was left by a job that died") for file in left]

    def repair(self) -> None:
        """Fits the model again, and writes its folder anew.

        Raises:
            ArtifactError: if what is left does not say how, or if another model comes of it; then nothing is written.
        """
        with alone_in(self.path) as hold:  # which removes unfinished files
            opened = open_manifest(self.path, ModelManifest)
            if opened.trusted:
                self.folder.checkpoint.remove()
                if not self._faults_now():
                    return
            name = absolute(self.path).name
            records = layout.datasets_in(layout.output_of(self.path), layout.RECORDS)
            drawn = [layout.dataset_of(folder) for folder in records if layout.model_of(folder) == name]
            datasets = [open_manifest(folder, DatasetManifest) for folder in drawn]
            described = [opened.manifest, *(dataset.manifest for dataset in datasets)]
            # the name of a model is a hash of its configuration, so the right one can be told wherever it is found
            is_named = layout.has_model_name(self.path)
            fitting = [{k: v for k, v in each.configuration.items() if k != ASKED} for each in described if each]
            fitting = [each for each in fitting if not is_named or model_name(each) == name]
            configuration = next(iter(fitting), None)
            if configuration is None:
                what = "has lost its settings with its manifest"
                raise ArtifactError(what, str(self.path), "Remove the folder and run its job again")
            origin = opened.manifest.written.origin if opened.manifest else {}
            corpus = self._listed_names(configuration, MOST_UNCHECKED) or _corpus_at(origin, configuration)
            if corpus is None:
                what, remedy = "does not hold the model's names", f"Remove {self.path} and run its job again"
                raise ArtifactError(what, str(self.path / "names.parquet"), remedy)
            known: list[str | None] = [opened.trusted.automaton_sha256] if opened.trusted else []
            plain = [each.trusted for each in datasets if each.trusted and ASKED not in each.trusted.configuration]
            known += [str(each.stream.get("automaton_sha256")) for each in plain]
            log.info("%s: fitting it again", self.path)
            from namegen.pipeline import refit  # slow to import

            refit(self.folder, corpus, configuration, (known or [self._sha256_of_automaton()])[0], origin, hold)

    def _faults_now(self) -> list[NamegenError]:
        try:
            return self.faults()
        except ArtifactError as error:
            return [error]

    def _fault_of(self, name: str, manifest: ModelManifest) -> NamegenError | None:
        try:
            if sha256_of(self.path / name) != manifest.files[name]:
                return self._fault(name, "was altered: its checksum does not match")
        except ArtifactError as error:
            return self._fault(name, error.what)
        return None

    def _fault(self, name: str, what: str) -> ArtifactError:
        return ArtifactError(what, str(self.path / name), remedy_for(self.path))

    def _listed_names(self, configuration: dict[str, Any], most: int | None) -> Corpus | None:
        """The names in the folder, if they are those of the configuration."""
        try:
            corpus = corpus_of(self.folder.names(most).to_pylist())
        except NamegenError:
            return None
        return corpus if corpus.sha256 == configuration.get("names_sha256") else None

    def _sha256_of_automaton(self) -> str | None:
        try:
            return artifact.load(self.path).sha256
        except ArtifactError:
            return None


def _corpus_at(origin: dict[str, Any], configuration: dict[str, Any]) -> Corpus | None:
    """The names in the file that the manifest mentions, if they are still those of the configuration."""
    path = str(origin.get("names"))
    if path == STDIN:
        return None
    try:
        corpus = read_corpus(path, **{name: origin[name] for name in READING if name in origin})
    except NamegenError:
        return None
    return corpus if corpus.sha256 == configuration.get("names_sha256") else None
