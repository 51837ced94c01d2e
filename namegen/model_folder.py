"""The folder of a fitted model, found again by content.

    outputs/models/<model>-<id>/   manifest.json, bigrams.parquet, ngrams.parquet, training.parquet,
                                   evaluation.parquet, automaton.safetensors

The id is a hash of the names and of every setting that changes what is in the folder; the device is none of
them, as it changes nothing that survives the rounding to 2^-32 but for rare last units. Files are written one by
one, each whole, and the manifest last: a folder without one is unfinished, and is made again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from namegen import automaton as automata
from namegen.automaton import Automaton
from namegen.corpus import Corpus
from namegen.errors import ArtifactError
from namegen.storage import read_manifest, sha256_of, versions, write_atomically, write_manifest

if TYPE_CHECKING:
    import polars as pl

    from namegen.ngrams import NgramCounts

MANIFEST = "manifest.json"
AUTOMATON = "automaton.safetensors"


@dataclass(frozen=True)
class ModelFolder:
    """A folder for one model; `configuration` is what its id was made from."""

    path: Path
    configuration: dict[str, Any]

    def is_finished(self) -> bool:
        """Whether the model is there, whole.

        Raises:
            ArtifactError: where it was finished, and a file of it is gone or not as it was.
        """
        manifest = read_manifest(self.path / MANIFEST)
        if manifest is None:
            return False
        self.automaton()
        for name, sha256 in manifest.get("files", {}).items():
            file = self.path / Path(name).name
            if not file.is_file() or sha256_of(file) != sha256:
                what = "was altered: it does not fit its checksum" if file.is_file() else "is missing"
                raise ArtifactError(what, str(file), f"Remove {self.path} and run the job again to have it made anew")
        return True

    def automaton(self) -> Automaton:
        """The model's automaton, checked."""
        return automata.load(self.path / AUTOMATON)

    def evaluation(self) -> pl.DataFrame:
        """The model's evaluation, next to the models it was compared with."""
        import polars as pl  # not needed to look whether a model is there

        return pl.read_parquet(self.path / "evaluation.parquet")

    def save(
        self,
        automaton: Automaton,
        counts: NgramCounts,
        bigrams: pl.DataFrame,
        training: pl.DataFrame,
        evaluation: pl.DataFrame,
        notes: dict[str, Any],
    ) -> None:
        """Writes the folder, the manifest last; `notes` go into it as they are."""
        self.path.mkdir(parents=True, exist_ok=True)
        automaton.save(self.path / AUTOMATON)
        write_atomically(self.path / "ngrams.parquet", counts.write_parquet)
        for name, frame in (("bigrams", bigrams), ("training", training), ("evaluation", evaluation)):
            write_atomically(self.path / f"{name}.parquet", frame.write_parquet)
        files = sorted(file for file in self.path.iterdir() if file.suffix in (".parquet", ".safetensors"))
        manifest = {
            "model": self.path.name,
            "configuration": self.configuration,
            "automaton_sha256": automaton.sha256,
            "files": {file.name: sha256_of(file) for file in files},
            "versions": versions(),
            **notes,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_manifest(self.path / MANIFEST, manifest)


def model_folder(output: Path, corpus: Corpus, model: str, settings: dict[str, Any]) -> ModelFolder:
    """Where a model of these names and settings belongs under `output`, there or not.

    Args:
        settings: everything else that decides what is in the folder, as JSON has it.
    """
    configuration = {"names_sha256": corpus.sha256, "model": model, **settings}
    identity = hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()
    return ModelFolder(output / "models" / f"{model}-{identity[:12]}", configuration)
