"""The folder of a fitted model, found again by content.

    outputs/models/<model>-<id>/   manifest.json, names.parquet, bigrams.parquet, ngrams.parquet, training.parquet,
                                   evaluation.parquet, quality.parquet, automaton.safetensors

The id is a hash of the names and of every setting that changes what is in the folder. The device is none of them: a
model that is there serves every device, wherever it was trained. Files are written one by one, each whole, and the
manifest last: a folder without one is unfinished, and is made again; an interrupted training leaves its checkpoint in
it, to go on from. The names are among them, so that the folder alone can say which of the drawn names are new.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Self

from pydantic import model_validator

from namegen.automaton import automaton as automata
from namegen.automaton.automaton import Automaton
from namegen.errors import ArtifactError, unreadable
from namegen.outputs.manifests import Manifest, Writing, read_manifest, write_manifest
from namegen.storage.files import (
    Location,
    absolute,
    make_folder,
    open_regular,
    read_checked,
    sha256_of,
    write_atomically,
    write_frame,
)
from namegen.training.checkpoint import Checkpoint

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from namegen.corpus.ngrams import NgramCounts

MANIFEST = "manifest.json"
AUTOMATON = "automaton.safetensors"
TABLES = {"names", "bigrams", "training", "evaluation", "quality"}
FILES = {AUTOMATON, "ngrams.parquet", *(f"{table}.parquet" for table in TABLES)}


class ModelManifest(Manifest):
    """What a model's folder holds: `files` with their SHA-256, `configuration` what the id was made from."""

    model: str
    configuration: dict[str, Any]
    automaton_sha256: str
    files: dict[str, str]

    @model_validator(mode="after")
    def _has_its_name(self) -> Self:
        if self.model != model_name(self.configuration):
            raise ValueError(f"{self.model!r} is not what a model of its configuration is called")
        return self


@dataclass(frozen=True)
class ModelFolder:
    """A folder for one model; `configuration` is what its id was made from."""

    path: Location
    configuration: dict[str, Any]

    def load(self) -> Automaton | None:
        """The model's automaton, where the folder is there, whole; None where it is yet to be made.

        Raises:
            ArtifactError: where it was finished, and a file of it is gone, not as it was, or another model's.
        """
        manifest = read_model_manifest(self.path)
        if manifest is None:
            return None
        automaton = _load(self.path / AUTOMATON)  # says more of what is wrong with it than a checksum does
        if manifest.configuration != self.configuration or manifest.automaton_sha256 != automaton.sha256:
            raise ArtifactError("is of another model than its folder", str(self.path / MANIFEST), remedy_for(self.path))
        for name in sorted(FILES - {AUTOMATON}):  # that one has been looked at by its own checksum
            if sha256_of(self.path / name) != manifest.files[name]:
                what = "was altered: it does not fit its checksum"
                raise ArtifactError(what, str(self.path / name), remedy_for(self.path))
        return automaton

    def table(self, name: str) -> pl.DataFrame:
        """One of `tables`."""
        return self.tables(name)[name]

    def tables(self, *names: str) -> dict[str, pl.DataFrame]:
        """Parquet files by their names, such as "evaluation".

        Raises:
            ArtifactError: where the folder is unfinished, or the file is gone or not as it was.
        """
        import polars as pl  # not needed to look whether a model is there

        manifest = read_model_manifest(self.path)
        if not manifest:
            raise ArtifactError("is unfinished", str(self.path), "Run its job again")
        files, remedy = {name: f"{name}.parquet" for name in names}, remedy_for(self.path)
        return {
            name: pl.read_parquet(read_checked(self.path / file, manifest.files[file], remedy))
            for name, file in files.items()
        }

    def names(self, most: int | None = None) -> pa.StringArray:
        """The names that the model is of, held-out ones included, in the order of their file.

        Args:
            most: how many there may be, where nothing vouches for the file: a small one can unpack to very many.

        Raises:
            ArtifactError: where they cannot be read.
        """
        import pyarrow as pa  # not needed to look whether a model is there
        import pyarrow.parquet as pq

        path = self.path / "names.parquet"
        try:
            with open_regular(path) as file:
                parquet = pq.ParquetFile(file)
                if most is not None and parquet.metadata.num_rows > most:
                    raise ArtifactError(f"has more than {most:,} names", str(path), remedy_for(self.path))
                column = parquet.read(columns=["name"])["name"]
                return pa.chunked_array(column.cast(pa.string())).combine_chunks()
        except (OSError, LookupError, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno:  # which pyarrow's own has not
                raise unreadable(error, path) from error
            raise ArtifactError(f"cannot be read ({error})", str(path), remedy_for(self.path)) from error

    @property
    def checkpoint(self) -> Checkpoint:
        """Where an interrupted training of this model goes on from."""
        return Checkpoint(self.path / "checkpoint.safetensors", model_name(self.configuration))

    def save(
        self,
        automaton: Automaton,
        counts: NgramCounts,
        tables: Mapping[str, pl.DataFrame],
        notes: dict[str, Any],
    ) -> None:
        """Writes the folder, the manifest last.

        Args:
            tables: those of `TABLES`.
            notes: for the manifest, what changes nothing.
        """
        make_folder(self.path)
        automaton.save(self.path / AUTOMATON)
        write_atomically(self.path / "ngrams.parquet", counts.write_parquet)
        for name, frame in tables.items():
            write_atomically(self.path / f"{name}.parquet", partial(write_frame, frame=frame))
        manifest = ModelManifest(
            model=model_name(self.configuration),
            configuration=self.configuration,
            automaton_sha256=automaton.sha256,
            files={name: sha256_of(self.path / name) for name in sorted(FILES)},
            written=Writing(notes=notes),
        )
        write_manifest(self.path / MANIFEST, manifest)
        self.checkpoint.remove()


def read_model_manifest(folder: Location) -> ModelManifest | None:
    """The manifest of a model's folder, or None where there is none: then it is unfinished.

    Raises:
        ArtifactError: where it is damaged, lists other files than a model has, or is of a newer format.
    """
    manifest = read_manifest(folder / MANIFEST, ModelManifest, remedy_for(folder))
    if manifest and set(manifest.files) != FILES:
        raise ArtifactError(f"does not list the files {sorted(FILES)}", str(folder / MANIFEST), remedy_for(folder))
    return manifest


def remedy_for(folder: Location) -> str:
    """What to do about a damaged model."""
    return f"Mend it with namegen verify --repair {folder}, or remove the folder and run the job again"


def _load(path: Location) -> Automaton:
    """The automaton; what a process has loaded and checked once it keeps, as a job looks twice."""
    try:
        status = path.stat()
    except OSError:
        return automata.load(path)  # says what is wrong
    return _load_once(absolute(path), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1)
def _load_once(path: Location, size: int, modified: int) -> Automaton:  # noqa: ARG001 - another size or time is another file
    return automata.load(path)


def model_folder(output: Location, configuration: dict[str, Any]) -> ModelFolder:
    """Where a model belongs under `output`, there or not.

    Args:
        configuration: `names_sha256`, `model`, and all else that decides what is in the folder, as JSON has it.
    """
    return ModelFolder(output / "models" / model_name(configuration), configuration)


def model_name(configuration: dict[str, Any]) -> str:
    """<model>-<id>."""
    identity = hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()
    return f"{configuration.get('model')}-{identity[:12]}"
