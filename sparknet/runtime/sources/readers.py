"""Files of every kind as tables of batches: bounded memory, one error that names the file, columns by their names.

pyarrow's readers are taken one by one, since `pyarrow.dataset` takes a second to import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import cast

import pyarrow as pa

from sparknet.compiler.sources import (
    CsvSource,
    FileSource,
    JsonSource,
    LibsvmSource,
    MediaSource,
    OrcSource,
    ParquetSource,
    TextSource,
)
from sparknet.grammar.diagnostics import Label, SparkNetError
from sparknet.runtime.encoding.columns import kind_of, type_name
from sparknet.runtime.problems import problem
from sparknet.runtime.sources.csv_files import csv_columns, csv_schema, read_csv
from sparknet.runtime.sources.json_files import json_schema, read_json
from sparknet.runtime.sources.libsvm import SCHEMA, count_features, read_rows
from sparknet.runtime.sources.lines import FormatError, pieces

BATCH_ROWS = 8192
BATCH_BYTES = 32 << 20
"""A batch of files' contents is closed once it holds so much."""

MEDIA_BYTES = 256 << 20
"""The largest image or recording that is read."""

Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class Table:
    """Rows to read, as often as wished: `batches(columns)` gives those columns, in the same order every time."""

    schema: pa.Schema
    batches: Callable[[Sequence[str]], Batches]


@dataclass(frozen=True)
class Files:
    """The files of a source, in the order in which they are read; `folder` is what the source names."""

    source: FileSource
    paths: list[Path]
    folder: Path
    label: Label | None = None

    @contextmanager
    def reading(self, file: Path) -> Iterator[None]:
        """Turn what goes wrong with a file into SparkNetError."""
        try:
            yield
        except (pa.ArrowException, OSError, KeyError, FormatError) as error:
            raise unreadable(self.source, self.label, file, error) from error

    def check_alike(self, file: Path, found: pa.Schema, wanted: pa.Schema, columns: Sequence[str]) -> None:
        """Raise SparkNetError where a file lacks a column of the first one, or holds other things in it."""
        first = self.paths[0]
        for name in columns:
            if name not in found.names:
                message = f"`{file}` has no column `{name}`, which `{first}` has"
                raise problem("R0008", message, label=self.label)
            here, there = found.field(name).type, wanted.field(name).type
            if kind_of(here) != kind_of(there):
                message = f"column `{name}` is of type {type_name(here)} in `{file}`, of type {type_name(there)}"
                raise problem("R0008", f"{message} in `{first}`", label=self.label)


def unreadable(source: FileSource, label: Label | None, path: object, why: object) -> SparkNetError:
    """A file is there, but is not what it claims to be."""
    first = (str(why).strip().splitlines() or ["no reason given"])[0]
    return problem("R0003", f"`{path}` cannot be read as {source.name}: {first}", label=label)


def open_files(files: Files) -> Table:
    """The rows of some files; raises SparkNetError where the first is not what it claims to be."""
    kind = next(kind for kind in _OPENERS if isinstance(files.source, kind))
    return _OPENERS[kind](files)


# ----- Parquet and ORC, which say their schema -----


def _open_parquet(files: Files) -> Table:
    import pyarrow.parquet as pq

    with files.reading(files.paths[0]):
        schema = pq.read_schema(files.paths[0])

    def batches(columns: Sequence[str]) -> Batches:
        for file in files.paths:
            with files.reading(file), pq.ParquetFile(file) as parquet:
                files.check_alike(file, parquet.schema_arrow, schema, columns)
                for batch in parquet.iter_batches(BATCH_ROWS, columns=list(columns), use_threads=False):
                    yield batch.select(list(columns))

    return Table(schema, batches)


def _open_orc(files: Files) -> Table:
    from pyarrow import orc

    with files.reading(files.paths[0]):
        schema = orc.ORCFile(files.paths[0]).schema

    def batches(columns: Sequence[str]) -> Batches:
        for file in files.paths:
            with files.reading(file):
                stripes = orc.ORCFile(file)
                files.check_alike(file, stripes.schema, schema, columns)
                for index in range(stripes.nstripes):
                    stripe = stripes.read_stripe(index, list(columns)).select(list(columns))
                    yield from _cut(stripe)

    return Table(schema, batches)


def _cut(batch: pa.RecordBatch) -> Batches:
    for start in range(0, batch.num_rows, BATCH_ROWS):
        yield batch.slice(start, BATCH_ROWS)


# ----- CSV and JSON, whose types all rows decide -----


def _open_csv(files: Files) -> Table:
    source = cast(CsvSource, files.source)
    check_headers(files, source)
    schemas = []
    for file in files.paths:
        with files.reading(file):
            schemas.append(csv_schema(source, file))
    schema = _joined(schemas)

    def batches(columns: Sequence[str]) -> Batches:
        for file in files.paths:
            with files.reading(file):
                for batch in read_csv(source, file, schema, columns):
                    yield from _cut(batch)

    return Table(schema, batches)


def check_headers(files: Files, source: CsvSource) -> None:
    """Raise SparkNetError where the columns of a file are not those of the first one."""
    there: list[str] | None = None
    for file in files.paths:
        with files.reading(file):
            here = csv_columns(source, file)
        there = here if there is None else there
        if here != there:
            raise _other_header(files, file, here, there)


def _other_header(files: Files, file: Path, here: Sequence[str], there: Sequence[str]) -> SparkNetError:
    at = next((i for i, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), min(len(here), len(there)))
    names = [f"`{names[at]}`" if at < len(names) else "missing" for names in (here, there)]
    message = f"column {at + 1} is {names[0]} in `{file}`, {names[1]} in `{files.paths[0]}`"
    helps = ["all files of a folder need the same header"]
    return problem("R0008", message, label=files.label, helps=helps)


def _joined(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """The columns of all files: numbers where some files hold whole ones, texts where they hold different things."""
    fields = []
    for name in schemas[0].names:
        kinds = {schema.field(name).type for schema in schemas} - {pa.null()}
        numbers = kinds <= {pa.int64(), pa.float64()}  # also where all fields are null
        fields.append((name, kinds.pop() if len(kinds) == 1 else pa.float64() if numbers else pa.string()))
    return pa.schema(fields)


def _open_json(files: Files) -> Table:
    found: pa.Schema | None = None
    for file in files.paths:
        with files.reading(file):
            found = json_schema(file, found)
    if found is None or not found.names:
        raise unreadable(files.source, files.label, files.paths[0], "it holds no rows")
    schema = found

    def batches(columns: Sequence[str]) -> Batches:
        chosen = pa.schema([schema.field(name) for name in columns])
        for file in files.paths:
            with files.reading(file):
                for table in read_json(file, chosen):
                    yield from table.select(list(columns)).to_batches(BATCH_ROWS)

    return Table(schema, batches)


# ----- lines -----


def _open_text(files: Files) -> Table:
    schema = pa.schema([("text", pa.string())])

    def batches(columns: Sequence[str]) -> Batches:
        for file in files.paths:
            with files.reading(file):
                for piece in pieces(file):
                    text = piece.text().replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")
                    batch = pa.RecordBatch.from_pydict({"text": text.split("\n")}, schema)
                    yield from _cut(batch.select(list(columns)))

    return Table(schema, batches)


class _Libsvm:
    def __init__(self, files: Files) -> None:
        self._files = files
        self._features = cast(LibsvmSource, files.source).features

    @cached_property
    def _size(self) -> int:
        if self._features is not None:
            return self._features
        found = 0
        for file in self._files.paths:
            with self._files.reading(file):
                found = max(found, count_features(file))
        return found

    def batches(self, columns: Sequence[str]) -> Batches:
        for file in self._files.paths:
            with self._files.reading(file):
                for rows in read_rows(file, self._features):
                    yield from _cut(rows.batch(self._size).select(list(columns)))


# ----- files that are rows -----


def _open_media(files: Files) -> Table:
    source = cast(MediaSource, files.source)
    schema = pa.schema([(source.column, pa.binary()), ("label", pa.string()), ("path", pa.string())])
    return Table(schema, partial(_media_batches, files, media_files(files, source), schema))


def media_files(files: Files, source: MediaSource) -> list[Path]:
    """Those files that are known by their names; raises SparkNetError where there are none."""
    known = [path for path in files.paths if path.suffix.lower() in source.suffixes]
    if not known:
        raise problem(
            "R0001",
            f"the folder `{files.folder}` holds no {source.name}",
            label=files.label,
            helps=[f"they are known by their names, which end in {', '.join(f'`{s}`' for s in source.suffixes)}"],
        )
    return known


def _media_batches(files: Files, paths: Sequence[Path], schema: pa.Schema, columns: Sequence[str]) -> Batches:
    """The files' bytes, where anyone asks for them, their folders' names, and where they are."""
    wanted = schema.names[0] in columns
    held: list[tuple[bytes | None, str, str]] = []
    size = 0
    for path in paths:
        contents = _contents(files, path) if wanted else None
        held.append((contents, path.absolute().parent.name, path.relative_to(files.folder).as_posix()))
        size += len(contents or b"")
        if len(held) == BATCH_ROWS or size > BATCH_BYTES:
            yield _media_batch(held, schema, columns)
            held, size = [], 0
    if held:
        yield _media_batch(held, schema, columns)


def _media_batch(
    held: Sequence[tuple[bytes | None, str, str]], schema: pa.Schema, columns: Sequence[str]
) -> pa.RecordBatch:
    arrays = [pa.array(cells, kind) for cells, kind in zip(zip(*held, strict=True), schema.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema).select(list(columns))


def _contents(files: Files, path: Path) -> bytes:
    with files.reading(path):
        size = path.stat().st_size
        if size > MEDIA_BYTES:
            raise FormatError(f"its {size:,} bytes are more than the {MEDIA_BYTES:,} that are read")
        return path.read_bytes()


_OPENERS: dict[type[FileSource], Callable[[Files], Table]] = {
    ParquetSource: _open_parquet,
    OrcSource: _open_orc,
    CsvSource: _open_csv,
    JsonSource: _open_json,
    LibsvmSource: lambda files: Table(SCHEMA, _Libsvm(files).batches),
    TextSource: _open_text,
    MediaSource: _open_media,
}
