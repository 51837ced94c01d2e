"""The parameters of the job, with their types, bounds, defaults and meaning. They are stated here and nowhere else.

The Prefect flow, the command line and `namegen.fit` take them from here, so Prefect's interface and `--help` agree.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from namegen.errors import SettingError

Seed = Annotated[int, Field(ge=0, le=2**64 - 1)]
Order = Annotated[int, Field(ge=2, le=66)]
Holdout = Annotated[float, Field(ge=0, lt=1)]
Cells = Annotated[int, Field(ge=10_000, le=10**9)]
Workers = Annotated[int, Field(ge=1, le=256)]
Column = Annotated[str, Field(min_length=1, max_length=300)]
Text = Annotated[str, Field(min_length=1, max_length=64)]
Pattern = Annotated[str, Field(min_length=1, max_length=1000)]
File = Annotated[str, Field(min_length=1)]
Address = Annotated[str, Field(min_length=1, max_length=300)]


class Parameters(BaseModel):
    """What a job is asked to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: Annotated[int, Field(ge=1, le=2**63, description="how many names to make")] = 100_000
    prefix: Annotated[Text | None, Field(description="only names that begin with this")] = None
    suffix: Annotated[Text | None, Field(description="only names that end with this")] = None
    contains: Annotated[Text | None, Field(description="only names in which this stands")] = None
    pattern: Annotated[
        Pattern | None, Field(description="only names that this regular expression matches as a whole")
    ] = None
    length: Annotated[Text | None, Field(description="only names with so many characters: 5, 5-8, 5- or -8")] = None
    novel: Annotated[bool, Field(description="only names that are not on the list")] = False
    without: Annotated[File | None, Field(description="none of the names in this file")] = None
    block: Annotated[File | None, Field(description="no name that contains a line of this file")] = None
    temperature: Annotated[float, Field(ge=0.1, le=5, description="likelier names below 1, odder ones above")] = 1.0
    distinct: Annotated[bool, Field(description="each name once, in an order of its own")] = False
    seed: Annotated[
        Seed | None,
        Field(
            description="which stream of names: the same seed gives the same names"
            " (null, in a deployment: the date for which the run is scheduled, as yyyymmdd)"
        ),
    ] = 42
    names: Annotated[
        str,
        Field(
            min_length=1,
            description="the names to learn from: text with one name per line, CSV, TSV, JSON Lines, Parquet or Arrow;"
            " the path of a file, the URL of a store, or - for standard input",
        ),
    ] = "data/names.txt"
    column: Annotated[
        Column | None,
        Field(
            description="the column with the names in a table, or its number if there is no header"
            " (default: name, or the only column of text)"
        ),
    ] = None
    skip_bad: Annotated[bool, Field(description="leave out the lines that are refused, and say how many")] = False
    drop_invisible: Annotated[
        bool, Field(description="leave out the characters that nobody sees, such as zero-width spaces")
    ] = False
    model: Annotated[
        Literal["bigram", "neural-bigram", "kneser-ney", "mlp", "gru", "transformer", "blend"],
        Field(
            description="the model to sample; networks and the blend are fitted only if asked for, the others always"
        ),
    ] = "blend"
    preset: Annotated[
        Literal["quick", "default", "best"],
        Field(description="how long networks train; quick takes seconds, best takes minutes"),
    ] = "default"
    holdout: Annotated[
        Holdout | None,
        Field(
            description="the share of the names to hold out, half for dev and half for test"
            " (default: 0.2, and 0 for a blend of fewer than 2,000 names)"
        ),
    ] = None
    background: Annotated[
        str,
        Field(
            min_length=1,
            description="names of others that a blend learns letters from: a list, a model's folder, or none"
            " (auto: the project's own, for fewer than 2,000 names in its letters)",
        ),
    ] = "auto"
    order: Annotated[
        Order | None,
        Field(description="n of the longest n-grams that are counted (default: 6)"),
    ] = None
    cells: Annotated[
        Cells | None,
        Field(
            description="how large the model's table is at most: its states times its symbols; each takes 40 bytes"
            " (default: the preset's)"
        ),
    ] = None
    output: Annotated[
        str,
        Field(
            min_length=1,
            pattern=r"^[^\x00-\x1f\x7f-\x9f]+$",  # it is printed as the last line, which scripts read
            description="the folder for models and names, or a URL such as s3://bucket/prefix",
        ),
    ] = "outputs"
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"],
        Field(description="where to train and sample; auto uses a GPU if there is one"),
    ] = "auto"
    workers: Annotated[
        Workers | None,
        Field(description="how many parts of 2^20 names to make at once (default: one per core, up to 8)"),
    ] = None
    engine: Annotated[
        Literal["local", "dask", "ray"],
        Field(description="where to make the parts: in this process, or on the workers of Dask or Ray"),
    ] = "local"
    address: Annotated[
        Address | None,
        Field(description="the engine's cluster, such as tcp://10.0.0.1:8786 (default: a new one on this machine)"),
    ] = None
    report: Annotated[
        bool, Field(description="write pages with pictures of the model and the names, under reports")
    ] = True


DEFAULT = Parameters()


@cache
def types() -> dict[str, Any]:
    """The type of each parameter, with its bounds and its description, in order."""
    hints = get_type_hints(Parameters, include_extras=True)
    return {name: hints[name] for name in Parameters.model_fields}


def description(name: str) -> str:
    """What a parameter means."""
    return types()[name].__metadata__[0].description or ""


def checked(name: str, value: Any) -> Any:  # noqa: ANN401 - of any parameter
    """A parameter's value, converted to its type.

    Raises:
        SettingError: if it is not of that type, or out of bounds.
    """
    try:
        return _adapter(name).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        rule = first["msg"].partition(", unable")[0].removeprefix("Input ")
        if first["type"] == "string_pattern_mismatch":
            rule = "cannot contain control characters"
        raise SettingError(f"{name}: {value!r} {rule}") from None


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(types()[name])
