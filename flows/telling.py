"""What is told of a run: lines in its log, artifacts in Prefect's interface, and the pages with pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from namegen.outputs.dataset import read_dataset_manifest
from namegen.outputs.model_folder import ModelFolder, read_model_manifest
from namegen.outputs.writer import Written
from namegen.report import text as tables
from namegen.report.folder import is_written
from namegen.storage.files import Location
from retries import RETRIES


@dataclass(frozen=True)
class Made:
    """What a run came to, and where it lies."""

    model: ModelFolder
    names: Location
    written: Written


def tell(written: Written, target: Location, count: int) -> None:
    """Logs what became of the data set."""
    log = get_run_logger()
    for name in written.mended:
        log.warning("%s was not as the manifest has it, and was made again", target / name)
    for name in written.removed:
        log.warning("%s was no part of the data set, and was removed", target / name)
    if written.made:
        log.info("Wrote %s of %s parts in %s", written.made, written.made + written.kept, target)
    else:
        log.info("Nothing to do: %s holds %s names already", target, f"{written.rows:,}")
    if written.rows > count:
        log.info("It keeps them all; the %s asked for are its first", f"{count:,}")


@task(name="publish", cache_policy=NO_CACHE, **RETRIES)
def publish(made: Made) -> None:
    """Puts the evaluation, and where the data set lies, into Prefect's interface."""
    evaluation, quality = made.model.table("evaluation"), made.model.table("quality")
    # JSON has neither infinities nor NaN
    finite = pl.when(pl.col(pl.Float64).is_finite()).then(pl.col(pl.Float64))
    create_table_artifact(
        evaluation.with_columns(finite).to_dicts(),
        key="evaluation",
        description="NLL in nats a character, end of name included",
    )
    where = made.names.resolve().as_posix() if isinstance(made.names, Path) else made.names
    lines = [
        f"**{made.written.rows:,} names** lie in `{made.names}`, drawn from the model in `{made.model.path}`.",
        "```python",
        f'polars.read_parquet("{where}/*.parquet")',
        "```",
        tables.markdown(tables.evaluation_rows(evaluation)),
        tables.markdown(tables.quality_rows(quality)),
    ]
    create_markdown_artifact("\n\n".join(lines), key="data-set", description="Where the names are, and how good")


@task(name="report", cache_policy=NO_CACHE)
def draw(made: Made) -> None:
    """Writes the pages of the model and of the data set, where they are not there yet."""
    manifests = read_model_manifest(made.model.path), read_dataset_manifest(made.names)
    of = zip((made.model.path, made.names), manifests, strict=True)
    missing = [folder for folder, manifest in of if manifest and not is_written(folder, manifest)]
    if not missing:
        return
    from namegen.report.pages import write_report  # the drawing library is slow to import

    try:
        reports = [write_report(folder) for folder in missing]
    except Exception as error:  # noqa: BLE001 - of whatever kind: the names are there, and are what was asked for
        get_run_logger().warning("No report was drawn (%r): namegen report makes it", error)
        return
    for written in reports:
        get_run_logger().info("Wrote %s", written.page)
    text = "\n\n".join(written.markdown for written in reports)
    create_markdown_artifact(text, key="report", description="What was learnt, and what was made")
