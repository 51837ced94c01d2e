"""The folder of a fitted model.

    outputs/models/<model>-<id>/   manifest.json, names.parquet, bigrams.parquet, ngrams.parquet, training.parquet,
                                   evaluation.parquet, quality.parquet, automaton.safetensors, about.txt

The id is a hash of the names and of every setting that changes what is in the folder. The device is not one of them:
a model serves every device, wherever it was trained. Each file is written whole, and the manifest last. A folder
without a manifest is unfinished, and is made again; an interrupted training leaves its checkpoint in it. The names are
kept so that the folder alone can say which drawn names are new.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Self

from pydantic import model_validator

from namegen.automaton import artifact
from namegen.automaton.automaton import Automaton
from namegen.characters import side_by_side
from namegen.errors import ArtifactError, NewerFormatError, unreadable
from namegen.outputs import about, layout
from namegen.outputs.manifests import Manifest, Writing, open_manifest, remedy_for, write_manifest
from namegen.storage.files import (
    UNHELD,
    Hold,
    Location,
    absolute,
    make_folder,
    open_regular,
    read_checked,
    sha256_of,
    write_atomically,
    write_frame,
)
from namegen.training.checkpoint import FILE as CHECKPOINT
from namegen.training.checkpoint import Checkpoint

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

TABLES = ("names", "bigrams", "ngrams", "training", "evaluation", "quality")
FILES = {artifact.FILE, about.FILE, *(f"{table}.parquet" for table in TABLES)}


@dataclass(frozen=True)
class Contents:
    """What a model's folder holds, in memory.

    Args:
        configuration: what the id is made from; see `Recipe.configuration`.
        tables: a frame for each of `TABLES`.
        origin: goes into the manifest; see `Writing`.
    """

    automaton: Automaton
    configuration: dict[str, Any]
    tables: Mapping[str, pl.DataFrame]
    origin: dict[str, Any] = field(default_factory=dict)


class ModelManifest(Manifest):
    """What a model's folder holds: `files` with their SHA-256, and the `configuration` that the id is made from."""

    model: str
    configuration: dict[str, Any]
    automaton_sha256: str
    files: dict[str, str]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.model != model_name(self.configuration):
            raise ValueError(f"a model of its configuration is not called {self.model!r}")
        if set(self.files) != FILES:
            raise ValueError(f"it does not list the files {sorted(FILES)}")
        return self


@dataclass(frozen=True)
class ModelFolder:
    """The folder of one model, which may be there or not."""

    path: Location

    def manifest(self) -> ModelManifest:
        """The manifest.

        Raises:
            ArtifactError: if the folder is unfinished or its manifest damaged.
        """
        manifest = open_manifest(self.path, ModelManifest).sound()
        if not manifest:
            what = "has no manifest: it is unfinished, or an automaton alone"
            raise ArtifactError(what, str(self.path), "Run its job again, if it has one")
        return manifest

    def load(self) -> Automaton | None:
        """The automaton, if the folder is complete; None if it is yet to be made.

        Raises:
            ArtifactError: if it was finished, and a file is missing, altered, or another model's.
        """
        manifest = open_manifest(self.path, ModelManifest).sound()
        if manifest is None:
            return None
        automaton = self._automaton()
        is_misplaced = layout.has_model_name(self.path) and absolute(self.path).name != manifest.model
        if is_misplaced or manifest.automaton_sha256 != automaton.sha256:
            where = str(self.path / ModelManifest.FILE)
            raise ArtifactError("describes another model than the folder holds", where, remedy_for(self.path))
        for name in sorted(FILES - {artifact.FILE}):  # whose own checksum was right
            if sha256_of(self.path / name, remedy_for(self.path)) != manifest.files[name]:
                what = "was altered: its checksum does not match"
                raise ArtifactError(what, str(self.path / name), remedy_for(self.path))
        return automaton

    def _automaton(self) -> Automaton:
        """The automaton, which says more about what is wrong with it than a checksum does."""
        try:
            return _load(self.path / artifact.FILE)
        except NewerFormatError:
            raise
        except ArtifactError as error:
            raise ArtifactError(error.what, error.where, remedy_for(self.path)) from error

    def contents(self) -> Contents:
        """Everything in the folder.

        Raises:
            ArtifactError: if it is unfinished or damaged.
        """
        manifest, automaton = self.manifest(), self.load()
        assert automaton
        return Contents(automaton, manifest.configuration, self.tables(*TABLES), manifest.written.origin)

    def table(self, name: str) -> pl.DataFrame:
        """One of `tables`."""
        return self.tables(name)[name]

    def tables(self, *names: str) -> dict[str, pl.DataFrame]:
        """Some of `TABLES`, by their names.

        Raises:
            ArtifactError: if the folder is unfinished, or a file is missing or altered.
        """
        import polars as pl  # not needed to see whether a model is there

        manifest, remedy = self.manifest(), remedy_for(self.path)
        files = {name: f"{name}.parquet" for name in names}
        return {
            name: pl.read_parquet(read_checked(self.path / file, manifest.files[file], remedy))
            for name, file in files.items()
        }

    def names(self, most: int | None = None) -> pa.StringArray:
        """The listed names, held-out ones included, in the order of their file.

        Args:
            most: how many there may be, where no checksum is known: a small file can unpack to very many.

        Raises:
            ArtifactError: if they cannot be read.
        """
        import pyarrow as pa  # not needed to see whether a model is there
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
            if isinstance(error, OSError) and error.errno:  # pyarrow's own errors have no errno
                raise unreadable(error, path) from error
            raise ArtifactError(f"cannot be read ({error})", str(path), remedy_for(self.path)) from error

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint from which an interrupted training of this model resumes."""
        return Checkpoint(self.path / CHECKPOINT, absolute(self.path).name)

    def save(self, contents: Contents, hold: Hold = UNHELD) -> None:
        """Writes the folder, the manifest last.

        Args:
            hold: of this folder.
        """
        make_folder(self.path)
        automaton = contents.automaton
        artifact.save(automaton, self.path / artifact.FILE, hold)
        described = {
            "namegen.vocabulary": side_by_side(automaton.vocabulary.symbols),
            "namegen.order": str(contents.configuration["order"]),
        }
        for name in TABLES:
            metadata = described if name == "ngrams" else None
            write = partial(write_frame, frame=contents.tables[name], metadata=metadata)
            write_atomically(self.path / f"{name}.parquet", write, hold)
        exact = about.Exact.of(automaton, contents.tables["names"]["name"].to_list())
        text = exact.text(model_name(contents.configuration)).encode()
        write_atomically(self.path / about.FILE, lambda temporary: temporary.write_bytes(text), hold)
        manifest = ModelManifest(
            model=model_name(contents.configuration),
            configuration=contents.configuration,
            automaton_sha256=automaton.sha256,
            files={name: sha256_of(self.path / name) for name in sorted(FILES)},
            written=Writing(origin=contents.origin),
        )
        write_manifest(self.path, manifest, hold)
        self.checkpoint.remove()


def model_name(configuration: dict[str, Any]) -> str:
    """<model>-<id>, the name of the folder of a model with this configuration."""
    identity = hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()
    return f"{configuration.get('model')}-{identity[:12]}"


def _load(path: Location) -> Automaton:
    """The automaton. A process keeps the last one that it loaded and checked, because a job looks twice."""
    try:
        status = path.stat()
    except OSError:
        return artifact.load(path)  # says what is wrong
    return _load_once(absolute(path), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1)
def _load_once(path: Location, size: int, modified: int) -> Automaton:  # noqa: ARG001 - another size or time is another file
    return artifact.load(path)
