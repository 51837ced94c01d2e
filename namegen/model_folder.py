"""The folder of a fitted model, found again by content.

    outputs/models/<model>-<id>/   manifest.json, bigrams.parquet, ngrams.parquet, training.parquet,
                                   evaluation.parquet, quality.parquet, automaton.safetensors

The id is a hash of the names and of every setting that changes what is in the folder. The device is none of them: a
model that is there serves every device, wherever it was trained. Files are written one by one, each whole, and the
manifest last: a folder without one is unfinished, and is made again; an interrupted training leaves its checkpoint in
it, to go on from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from namegen import automaton as automata
from namegen.automaton import Automaton
from namegen.checkpoint import Checkpoint
from namegen.corpus import Corpus
from namegen.errors import ArtifactError
from namegen.storage import Manifest, read_manifest, sha256_of, write_atomically, write_frame, write_manifest

if TYPE_CHECKING:
    import polars as pl

    from namegen.ngrams import NgramCounts

MANIFEST = "manifest.json"
AUTOMATON = "automaton.safetensors"
FILES = {AUTOMATON, "ngrams.parquet", "bigrams.parquet", "training.parquet", "evaluation.parquet", "quality.parquet"}


class ModelManifest(Manifest):
    """What a model's folder holds: `files` with their SHA-256, `configuration` what the id was made from."""

    model: str
    configuration: dict[str, Any]
    automaton_sha256: str
    files: dict[str, str]
    notes: dict[str, Any]  # what changes nothing: the names' file, the device and the seconds of the training


@dataclass(frozen=True)
class ModelFolder:
    """A folder for one model; `configuration` is what its id was made from."""

    path: Path
    configuration: dict[str, Any]

    def load(self) -> Automaton | None:
        """The model's automaton, where the folder is there, whole; None where it is yet to be made.

        Raises:
            ArtifactError: where it was finished, and a file of it is gone, not as it was, or another model's.
        """
        manifest = read_manifest(self.path / MANIFEST, ModelManifest)
        if manifest is None:
            return None
        remedy = f"Remove {self.path} and run the job again to have it made anew"
        automaton = _load(self.path / AUTOMATON)  # says more of what is wrong with it than a checksum does
        if manifest.configuration != self.configuration or manifest.automaton_sha256 != automaton.sha256:
            raise ArtifactError("is of another model than its folder", str(self.path / MANIFEST), remedy)
        if set(manifest.files) != FILES:
            raise ArtifactError(f"does not list the files {sorted(FILES)}", str(self.path / MANIFEST), remedy)
        for name in sorted(FILES - {AUTOMATON}):  # that one has been looked at by its own checksum
            if sha256_of(self.path / name) != manifest.files[name]:
                raise ArtifactError("was altered: it does not fit its checksum", str(self.path / name), remedy)
        return automaton

    def table(self, name: str) -> pl.DataFrame:
        """One of the Parquet files, such as "evaluation"."""
        import polars as pl  # not needed to look whether a model is there

        return pl.read_parquet((self.path / f"{name}.parquet").read_bytes())

    @property
    def checkpoint(self) -> Checkpoint:
        """Where an interrupted training of this model goes on from."""
        return Checkpoint(self.path / "checkpoint.safetensors", self.path.name)

    def save(
        self,
        automaton: Automaton,
        counts: NgramCounts,
        tables: Mapping[str, pl.DataFrame],
        notes: dict[str, Any],
    ) -> None:
        """Writes the folder, the manifest last.

        Args:
            tables: "bigrams", "training", "evaluation" and "quality".
        """
        self.path.mkdir(parents=True, exist_ok=True)
        automaton.save(self.path / AUTOMATON)
        write_atomically(self.path / "ngrams.parquet", counts.write_parquet)
        for name, frame in tables.items():
            write_atomically(self.path / f"{name}.parquet", partial(write_frame, frame=frame))
        manifest = ModelManifest(
            model=self.path.name,
            configuration=self.configuration,
            automaton_sha256=automaton.sha256,
            files={name: sha256_of(self.path / name) for name in sorted(FILES)},
            notes=notes,
        )
        write_manifest(self.path / MANIFEST, manifest)
        self.checkpoint.remove()


def _load(path: Path) -> Automaton:
    """The automaton; what a process has loaded and checked once it keeps, as a job looks twice."""
    try:
        status = path.stat()
    except OSError:
        return automata.load(path)  # says what is wrong
    return _load_once(path.resolve(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1)
def _load_once(path: Path, size: int, modified: int) -> Automaton:  # noqa: ARG001 - another size or time is another file
    return automata.load(path)


def model_folder(output: Path, corpus: Corpus, model: str, settings: dict[str, Any]) -> ModelFolder:
    """Where a model of these names and settings belongs under `output`, there or not.

    Args:
        settings: everything else that decides what is in the folder, as JSON has it.
    """
    configuration = {"names_sha256": corpus.sha256, "model": model, **settings}
    identity = hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()
    return ModelFolder(output / "models" / f"{model}-{identity[:12]}", configuration)
