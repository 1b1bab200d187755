"""CSV files in batches. A column's type is decided by all of its fields, by rules that `spark.csv` shares.

A field is null where it is empty or the text that the source gives for null. A column whose other fields are all `true`
or `false` holds booleans; whole numbers of 64 bits, numbers and texts follow. Blanks around numbers are let pass.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sparknet.compiler.sources import CsvSource
from sparknet.runtime.sources.lines import FormatError, check_encoding

_BLOCK_BYTES = 16 << 20
"""A row is at most as long."""
_MOST_COLUMNS = 10_000

KINDS: tuple[pa.DataType, ...] = (pa.bool_(), pa.int64(), pa.float64(), pa.string())
"""The types of columns, in the order in which they are tried; a column of nulls alone holds numbers."""

_WIDTH = re.compile(r"(?:Row #(\d+): )?Expected (\d+) columns?, got (\d+): (.*)", re.DOTALL)
"""How pyarrow says that a row has other fields than the first."""

_BOOLS = {"true_values": ["true", "True", "TRUE"], "false_values": ["false", "False", "FALSE"]}


def csv_columns(source: CsvSource, file: Path) -> list[str]:
    """The names of the columns of a file."""
    check_encoding(file)
    return [_name(source, i, name) for i, name in enumerate(_header(source, file, *_options(source)))]


def csv_schema(source: CsvSource, file: Path) -> pa.Schema:
    """The columns of a file, each with the first of `KINDS` that all of its fields are of; null where all are null."""
    names, kinds = None, []
    for batch in _batches(source, file, None):
        if names is None:
            names, kinds = batch.schema.names, [-1] * batch.num_columns
        kinds = kinds_of(batch, kinds)
    types = [pa.null() if kind < 0 else KINDS[kind] for kind in kinds]
    return pa.schema(list(zip(names or [], types, strict=True)))


def read_csv(source: CsvSource, file: Path, schema: pa.Schema, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The batches of a file; `schema` is that of all files together."""
    for batch in _batches(source, file, schema, columns):
        yield batch.select(list(columns))


def _batches(
    source: CsvSource, file: Path, schema: pa.Schema | None, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The batches of a file; without a schema all fields as texts. There is one batch at least, if without rows."""
    from pyarrow import csv as arrow_csv

    check_encoding(file)
    read, parse = _options(source)
    written = {_name(source, i, name): name for i, name in enumerate(_header(source, file, read, parse))}
    types = [pa.string()] * len(written) if schema is None else [schema.field(name).type for name in written]
    convert = arrow_csv.ConvertOptions(
        column_types=dict(zip(written.values(), types, strict=True)),
        include_columns=[] if columns is None else [written[name] for name in columns],
        null_values=["", source.null],
        strings_can_be_null=True,
        **_BOOLS,
    )
    with _plainly(source), arrow_csv.open_csv(file, read, parse, convert) as reader:
        names = list(written) if columns is None else list(columns)
        yield pa.RecordBatch.from_pylist([], schema=reader.schema).rename_columns(names)
        for batch in reader:
            yield batch.rename_columns(names)


@contextmanager
def _plainly(source: CsvSource) -> Iterator[None]:
    """Say what pyarrow finds wrong in words that need no knowledge of it; raises FormatError."""
    try:
        yield
    except pa.ArrowInvalid as error:
        text = str(error)
        if "straddl" in text:
            raise FormatError(f"a row is longer than {_BLOCK_BYTES >> 20} MiB") from error
        if "Empty CSV file or block" in text:  # a file that holds nothing at all is refused before
            raise FormatError(f"a {source.quote} in its first row is not closed") from error
        found = _WIDTH.search(text)
        if found is None:
            raise
        row, wanted, there, fields = found.groups()
        where = f"row {int(row):,}" if row else "a row"
        open_ = source.quote and fields.count(source.quote) % 2
        why = f"; a {source.quote} in it is not closed" if open_ else ""
        raise FormatError(f"{where} has {there} field{'s' * (there != '1')}, the first has {wanted}{why}") from error


def _options(source: CsvSource) -> tuple[Any, Any]:
    """How pyarrow reads and parses."""
    from pyarrow import csv as arrow_csv

    read = arrow_csv.ReadOptions(
        use_threads=False, block_size=_BLOCK_BYTES, autogenerate_column_names=not source.header
    )
    return read, arrow_csv.ParseOptions(delimiter=source.separator, quote_char=source.quote or False)


def _header(source: CsvSource, file: Path, read: Any, parse: Any) -> list[str]:
    """The names of the columns as the file has them."""
    from pyarrow import csv as arrow_csv

    _check_start(file, parse.delimiter)
    with _plainly(source), arrow_csv.open_csv(file, read, parse, arrow_csv.ConvertOptions()) as reader:
        names: list[str] = reader.schema.names
    if len(set(names)) < len(names):
        twice = next(name for name, times in Counter(names).items() if times > 1)
        raise FormatError(f"the header names the column `{twice}` twice")
    return names


def _check_start(file: Path, separator: str) -> None:
    """Raise FormatError for an empty file, and for more fields than pyarrow can make columns of in a moment."""
    with pa.input_stream(str(file), compression="detect") as stream:
        start = stream.read(_BLOCK_BYTES)
    if not start.removeprefix(BOM_UTF8).strip():
        raise FormatError("it is empty")
    columns = start.partition(b"\n")[0].count(separator.encode()) + 1
    if columns > _MOST_COLUMNS:
        raise FormatError(f"its {columns:,} columns are more than the {_MOST_COLUMNS:,} that are read")


def _name(source: CsvSource, index: int, name: str) -> str:
    """A column's name as Spark gives it."""
    return name if source.header and name else f"_c{index}"


def kinds_of(batch: pa.RecordBatch, known: Sequence[int]) -> list[int]:
    """The kinds that hold the fields of a batch of texts and those known: of each column the place in `KINDS`.

    -1 where nothing is known of a column, and where all its fields are null.
    """
    return [_widened(kind, column) for kind, column in zip(known, batch.columns, strict=True)]


def joined_kind(first: int, second: int) -> int:
    """The kind that holds the fields of both."""
    if first == second or min(first, second) < 0:
        return max(first, second)
    return len(KINDS) - 1 if min(first, second) == 0 else max(first, second)  # `true` and 1 are texts


def _widened(kind: int, column: pa.Array) -> int:
    if column.null_count == len(column):
        return kind
    fits = (_are_bools, _are_whole, _are_numbers)
    tried = range(len(fits)) if kind < 0 else range(1) if kind == 0 else range(kind, len(fits))
    return next((index for index in tried if fits[index](column)), len(fits))


def _are_bools(column: pa.Array) -> bool:
    words = pa.array([word for words in _BOOLS.values() for word in words])
    return bool(pc.all(pc.is_in(column.drop_null(), words)).as_py())


def _are_whole(column: pa.Array) -> bool:
    hexadecimal = pc.any(pc.match_substring(column, "x", ignore_case=True)).as_py()
    return not hexadecimal and _cast(column, pa.int64()) is not None


def _are_numbers(column: pa.Array) -> bool:
    numbers = _cast(column, pa.float64())
    if numbers is None:
        return False
    odd = pc.utf8_lower(pc.utf8_trim(column.filter(pc.is_nan(numbers)), " \t"))
    return not pc.any(pc.not_equal(odd, "nan")).as_py()  # pyarrow, and not Spark, reads `-nan` and `nan(0)`


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array | None:
    try:
        return pc.utf8_trim(column, " \t").cast(kind)
    except pa.ArrowInvalid:
        return None
