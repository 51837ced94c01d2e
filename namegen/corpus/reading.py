"""The texts of a list, in whatever form people have it.

It is text, a table or JSON, compressed or not, in a file, a store, standard input or memory.

The readers are those of polars and pyarrow. What they cannot know is here: which form it is, which column has the
names, and what a file is that cannot be a list of names.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from namegen.device import free_memory
from namegen.errors import CorpusError, unreadable
from namegen.storage.files import location

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

STDIN = "-"
READING = ("column", "skip_bad", "drop_invisible")  # the parameters that say how a list is read
WEB = re.compile("(?:https?|ftp)://", re.IGNORECASE)
COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
FOREIGN = {  # what a file begins with, what it is, and what to do
    b"PK\x03\x04": ("is a zip archive or a spreadsheet", "Unpack it, or export the sheet as CSV"),
    b"\xfd7zXZ": ("is compressed with xz", "Unpack it with xz -d"),
    b"%PDF": ("is a PDF", "Copy its text into a file with one name per line"),
    b"SQLite format 3\0": ("is a SQLite database", "Export a column, such as with sqlite3 FILE 'SELECT name FROM t'"),
}
MAGIC = {b"PAR1": "parquet", b"ARROW1": "arrow"}
FORMS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".arrows": "stream",
}
SEPARATORS = {"\t": "a tab", ";": "a semicolon", "|": "a bar", ",": "a comma"}
LINE_END = re.compile("\r\n|\n|\r")
NUMBER = re.compile(r"\s*[-+]?[\d.,]*\d\s*%?\s*")
SAMPLE = 1000  # lines or rows that tell what a list looks like
MOST = 0.9  # of them
USE_COLUMN = (
    "Read one column with --column (column=... in Python): its name in the first line, or its number if the first line"
    " is no header, as in --column 1"
)


@dataclass(frozen=True)
class Listing:
    """Texts as they stand, in order; None for a missing value.

    Args:
        where: the file, or "names".
        unit: what is counted from 1 to say where a text stands: "line", "row" or "item".
    """

    texts: Sequence[str | None]
    where: str
    unit: str


def read_listing(source: Path | str, column: str | None = None) -> Listing:
    """The texts in a file, at the URL of a store, or in standard input ("-").

    Text has one name per line. CSV, TSV, JSON Lines, Parquet and Arrow are known by their first bytes or by their
    suffix (CSV and TSV also by `column`), and gzip, zstd and bzip2 by their first bytes.

    Args:
        column: the column with the names in a table, or its number, from 1, in one without a header; None for the
            column `name`, or for the only one with text.

    Raises:
        CorpusError: with file, line and remedy, if it cannot be read, or looks like something else than it is read as.
    """
    data, where, suffix = _bytes_of(source)
    form = next((form for magic, form in MAGIC.items() if data.startswith(magic)), FORMS.get(suffix, "text"))
    if form == "text" and column is None:
        lines = _lines(_text(data, where))
        if problem := _resemblance(lines, where):
            raise CorpusError(problem[0], where, problem[1])
        return Listing(lines, where, "line")
    return Listing(_column_of(_table(data, form, where, column), where, column), where, "row")


def listing_of(names: object, column: str | None = None) -> Listing:
    """The texts in memory: a list, a Series, an array, or a column of a frame or an Arrow table.

    Raises:
        CorpusError: if it is none of these.
    """
    kind = type(names).__name__
    if kind == "LazyFrame":
        names = cast("pl.LazyFrame", names).collect()
    if hasattr(names, "columns") or hasattr(names, "column_names"):
        return Listing(_column_of(_frame(names), "names", column), "names", "row")
    if isinstance(names, Mapping):
        raise CorpusError(f"{kind} is not a list of names", "names", "Pass a list, or one column of a frame")
    if isinstance(names, AbstractSet):
        raise CorpusError("a set has no order, so the model would change from run to run", "names", "Pass a list")
    if isinstance(names, bytes) or not isinstance(names, Iterable):
        raise CorpusError(f"{kind} is not a list of names", "names", "Pass a list, a Series, or the path of a file")
    to_list = getattr(names, "to_pylist", None)  # of Arrow, whose items are not text
    return Listing(to_list() if to_list else list(names), "names", "item")


def _bytes_of(source: Path | str) -> tuple[bytes, str, str]:
    """The unpacked bytes, where they are from, and the suffix of their form."""
    text = str(source)
    if text == STDIN:
        data, where, suffix = _stdin(), "stdin", ""
    else:
        data, where, suffix = _bytes_at(source), text, _suffix(text)
    for magic, (what, remedy) in FOREIGN.items():
        if data.startswith(magic):
            raise CorpusError(what, where, remedy)
    codec = next((codec for magic, codec in COMPRESSED.items() if data.startswith(magic)), None)
    return (_unpacked(data, codec, where) if codec else data), where, suffix


def _suffix(path: str) -> str:
    """The suffix that tells the form: of names.csv.gz, .csv."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    return next((suffix for suffix in reversed(suffixes) if suffix in FORMS), "")


def _bytes_at(source: Path | str) -> bytes:
    remedy = "Name a text file with one name per line; relative paths start in the working directory"
    if WEB.match(str(source)):
        raise CorpusError("is an address of the web", str(source), f"Download it first: curl -LO {source}")
    path = location(source)
    try:
        if path.is_dir():
            raise CorpusError("is a folder", str(source), "Name a text file with one name per line")
        if isinstance(path, Path) and path.exists() and not path.is_file():
            # a pipe can be read only once, but the job reads its names when it is planned and when it runs
            raise CorpusError("is not a regular file", str(source), "Save the names in a file first")
        return path.read_bytes()
    except FileNotFoundError:
        raise CorpusError("there is no such file", str(source), remedy) from None
    except OSError as error:
        if not isinstance(path, Path):
            raise unreadable(error, path) from error
        what = f"cannot be read ({error.strerror})"
        raise CorpusError(what, str(source), "Check the path and its permissions") from error
    except ValueError as error:  # the path has a null character
        raise CorpusError(f"cannot be read ({error})", str(source), "Check the path and its permissions") from error


@cache
def _stdin() -> bytes:
    """All of standard input, which can be read only once, but the job reads its names twice."""
    if sys.stdin is None:
        raise CorpusError("is closed", "stdin", "Name a file")
    return sys.stdin.buffer.read()


def _unpacked(data: bytes, codec: str, where: str) -> bytes:
    import pyarrow as pa

    limit = free_memory() // 8
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), codec) as stream:
            unpacked: bytes = stream.read(limit)
            is_all = not stream.read(1)
    except (OSError, ValueError) as error:
        raise CorpusError(f"cannot be unpacked ({error})", where, "Restore the file") from None
    if not is_all:
        what = f"unpacks to more than {limit / 1e9:.1f} GB, an eighth of the memory that is free"
        raise CorpusError(what, where, "Split it")
    return unpacked


def _text(data: bytes, where: str) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise CorpusError("is UTF-16", where, f"Convert it: iconv -f UTF-16 -t UTF-8 {where} > NEW")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # utf-8-sig counts from after the byte order mark
        start = error.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
    line = data.count(b"\n", 0, start) + 1
    column = start - data.rfind(b"\n", 0, start)
    what = f"byte {column} of the line (0x{data[start]:02x}) is not UTF-8"
    remedy = f"Save the file as UTF-8; if it is Latin-1: iconv -f LATIN1 -t UTF-8 {where} > NEW"
    raise CorpusError(what, f"{where}, line {line}", remedy)


def _lines(text: str) -> list[str]:
    lines = LINE_END.split(text)
    return lines[:-1] if lines[-1] == "" else lines


def _resemblance(lines: Sequence[str], where: str) -> tuple[str, str] | None:
    """What a text looks like, if that is no list with one name per line, and the command that makes it one."""
    some = [line.strip() for line in lines if line.strip()][:SAMPLE]
    if not some:
        return None
    if json := _json(some, where):
        return json
    if len(some) > 1 and (separator := _separator(some)):
        return f"looks like a table: its lines have columns with {SEPARATORS[separator]} between them", USE_COLUMN
    if len(some) > 1 and _share(some, re.compile(r"(?:\d+[.)]|[-*•])\s").match) >= MOST:
        strip = f"sed -E 's/^ *([0-9]+[.)]|[-*•]) +//' {where} > NEW"
        return "looks like a list whose items have numbers or marks in front", f"Remove them: {strip}"
    if len(some) <= 3 and max(line.count(",") for line in some) > 2:
        return "looks like one line with commas between the names", f"Make lines of it: tr ',' '\\n' < {where} > NEW"
    return None


def _json(some: Sequence[str], where: str) -> tuple[str, str] | None:
    if some[0].startswith(("[{", '["')) or some[0] == "[":
        return "looks like a JSON array", f"Make lines of it: jq -r '.[]' {where} > NEW"
    if _share(some, lambda line: line.startswith("{") and line.endswith("}")) >= MOST:
        return "looks like JSON Lines", "Read one of its keys with --column (column=... in Python)"
    return None


def _share(lines: Sequence[str], has: Callable[[str], object]) -> float:
    return sum(bool(has(line)) for line in lines) / len(lines)


def _separator(lines: Sequence[str]) -> str | None:
    """What stands between the columns of a table: most lines have the same number of it. "Doe, Jane" is a name."""
    for separator in SEPARATORS:
        counts = [
            line.replace(", ", "").count(separator) if separator == "," else line.count(separator) for line in lines
        ]
        commonest = max(set(counts), key=counts.count)
        if commonest and counts.count(commonest) >= MOST * len(counts):
            return separator
    return None


def _table(data: bytes, form: str, where: str, column: str | None) -> pl.DataFrame:
    import polars as pl
    import pyarrow as pa

    try:
        if form in {"parquet", "arrow", "stream"}:
            return _frame(_arrow_table(data, form, where, column))
        text = _text(data, where)
        if form == "json" or text.lstrip().startswith("{"):
            return pl.read_ndjson(text.encode(), infer_schema_length=None)
        separator = {"csv": None, "tsv": "\t"}.get(form) or _separator(_lines(text)[:SAMPLE]) or ","
        has_header = not _is_position(column, text, separator)
        return pl.read_csv(text.encode(), separator=separator, has_header=has_header, infer_schema=False)
    except CorpusError:
        raise
    except (OSError, ValueError, LookupError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        what = f"cannot be read as {form if form != 'text' else 'a table'} ({reason})"
        raise CorpusError(what, where, "Check its form, and give it the suffix of that, such as .csv or .txt") from None


def _arrow_table(data: bytes, form: str, where: str, column: str | None) -> pa.Table:
    """A table that is sound: polars ends the process at text that is not UTF-8."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if form == "parquet":
        file = pq.ParquetFile(BytesIO(data))
        there = file.schema_arrow.names
        table = (
            file.read(columns=[column] if there.count(column) == 1 else None) if len({*there}) == len(there) else None
        )
    else:
        opened = pa.ipc.open_file(data) if data.startswith(b"ARROW1") else pa.ipc.open_stream(data)
        there, table = opened.schema.names, opened.read_all()
    twice = sorted({name for name in there if there.count(name) > 1})
    if twice or table is None:
        raise CorpusError(f"has several columns {', '.join(map(repr, twice))}", where, "Rename all but one of each")
    table.validate(full=True)
    return table


def _is_position(column: str | None, text: str, separator: str) -> bool:
    """Whether `column` is the number of a column, and not a name in the first line."""
    first = LINE_END.split(text, maxsplit=1)[0]
    return column is not None and column.isdecimal() and column not in first.split(separator)


def _frame(names: Any) -> pl.DataFrame:  # noqa: ANN401 - of any library
    import polars as pl

    if isinstance(names, pl.DataFrame):
        return names
    try:
        if type(names).__module__.startswith("pandas"):
            return pl.from_pandas(names)
        return _is_frame(pl.from_arrow(names))
    except (TypeError, ValueError, ImportError) as error:
        what = f"{type(names).__name__} is not a list of names ({error})"
        raise CorpusError(what, "names", "Pass one column, such as frame['name']") from None


def _is_frame(read: pl.DataFrame | pl.Series) -> pl.DataFrame:
    import polars as pl

    return read.to_frame() if isinstance(read, pl.Series) else read


def _column_of(frame: pl.DataFrame, where: str, column: str | None) -> list[str | None]:
    """The texts of the column that is asked for, or that can only be meant."""
    import polars as pl

    there = frame.columns
    if column is None:
        named = [name for name in there if name.strip().lower() == "name"]
        number = next((name for name in there if NUMBER.fullmatch(name)), None)
        if number and not named:
            raise CorpusError(f"has no header: its first line has {number}", where, USE_COLUMN)
        texts = [name for name in there if _is_text(frame[name])]
        if len(named) != 1 and len(texts) != 1:
            which = f"{len(texts)} columns of text" if texts else "no column of text"
            raise CorpusError(f"has {which} ({', '.join(there)})", where, USE_COLUMN)
        column = named[0] if len(named) == 1 else texts[0]
    elif column not in there and column.isdecimal() and 1 <= int(column) <= len(there):
        column = there[int(column) - 1]
    elif column not in there:
        raise CorpusError(f"has no column {column!r}", where, f"Name one with --column: it has {', '.join(there)}")
    chosen = frame[column]
    if chosen.dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        what = f"has no text in the column {column!r}, but {chosen.dtype}"
        raise CorpusError(what, where, "Name a column of text with --column")
    return chosen.cast(pl.String).to_list()


def _is_text(values: pl.Series) -> bool:
    """Whether a column has text that is not just numbers."""
    import polars as pl

    if values.dtype not in (pl.String, pl.Categorical, pl.Enum):
        return False
    some = values.drop_nulls().head(SAMPLE).cast(pl.String)
    return any(value.strip() and not NUMBER.fullmatch(value) for value in some)
