"""What a run shows in Prefect's interface: artifacts with its progress, its evaluation and its pages."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import polars as pl
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.context import TaskRunContext
from prefect.events import emit_event

from namegen import progress as bars
from namegen.errors import encodable
from namegen.outputs import layout
from namegen.outputs.dataset import DatasetManifest
from namegen.outputs.manifests import open_manifest
from namegen.outputs.model_folder import ModelManifest
from namegen.pipeline import Made
from namegen.report import text
from namegen.report.folder import is_written
from namegen.storage.files import absolute

log = logging.getLogger(f"namegen.{__name__}")  # so that its lines go where those of namegen go


@contextmanager
def progress(total: int, what: str) -> Iterator[bars.Advance]:
    """As `namegen.progress.progress`; what takes long also has a progress artifact."""
    artifact: UUID | None = None

    def show(percent: float) -> None:
        nonlocal artifact
        try:
            if artifact:
                update_progress_artifact(artifact, percent)
            elif TaskRunContext.get():  # elsewhere there is nowhere to show it
                key = what.partition(",")[0].lower().replace(" ", "-")
                made = create_progress_artifact(percent, key=key)
                artifact = made if isinstance(made, UUID) else None
        except Exception as error:  # noqa: BLE001 - of any kind: the job goes on without being watched
            log.warning("The progress of %r could not be shown (%r)", what, error)

    with bars.progress(total, what, on_line=show) as advance:
        yield advance


def publish(made: Made) -> None:
    """Shows the evaluation, and where the data set is, and says that it is finished."""
    tables = made.model.tables("evaluation", "quality")
    # JSON has neither infinities nor NaN
    finite = pl.when(pl.col(pl.Float64).is_finite()).then(pl.col(pl.Float64))
    create_table_artifact(
        tables["evaluation"].with_columns(finite).to_dicts(),
        key="evaluation",
        description="NLL in nats per character, end of name included",
    )
    where = encodable(made.names.resolve().as_posix()) if isinstance(made.names, Path) else made.names
    lines = [
        f"**{made.written.rows:,} names** are in `{made.names}`, drawn from the model in `{made.model.path}`.",
        "```python",
        f'polars.read_parquet("{where}/*.parquet")',
        "```",
        text.markdown(text.evaluation_rows(tables["evaluation"])),
        *([] if text.is_held_out(tables["evaluation"]) else [text.FITTED_ONLY]),
        text.markdown(text.quality_rows(tables["quality"])),
    ]
    create_markdown_artifact(
        encodable("\n\n".join(lines)), key="data-set", description="Where the names are, and how good"
    )
    tell(made)


def tell(made: Made) -> None:
    """Emits the event that the data set is finished, for automations: once in each run, made in it or found."""
    emit_event(
        event="namegen.dataset.finished",
        resource={
            "prefect.resource.id": f"namegen.dataset.{layout.model_of(made.names)}.seed-{layout.seed_of(made.names)}",
            "prefect.resource.name": encodable(str(made.names)),
        },
        payload={
            "path": encodable(str(absolute(made.names))),
            "manifest": encodable(str(DatasetManifest.path(made.names))),
            "rows": made.written.rows,
        },
    )


def write_pages(made: Made) -> None:
    """Writes the pages about the model and the data set, unless they are up to date, and shows them in short."""
    model = made.model.path, open_manifest(made.model.path, ModelManifest).sound()
    names = made.names, open_manifest(made.names, DatasetManifest).sound()
    missing = [folder for folder, manifest in (model, names) if manifest and not is_written(folder, manifest)]
    if not missing:
        return
    from namegen.report.pages import write_report  # the drawing library is slow to import

    try:
        reports = [write_report(folder) for folder in missing]
    except Exception as error:  # noqa: BLE001 - of any kind: the names are there, and are what was asked for
        log.warning("No page was written (%r): run namegen report to write it", error)
        return
    for written in reports:
        log.info("Wrote %s", written.page)
    markdown = "\n\n".join(written.markdown for written in reports)
    create_markdown_artifact(encodable(markdown), key="report", description="What was learnt, and what was made")
