"""Predictions for a file: its columns, and beside them the outputs of the inference graph.

Bad rows are found by a pass over the data before the first prediction, with the messages of training; the output is
written under a temporary name and renamed.
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from shlex import quote

import pyarrow as pa

from sparknet.compiler import examine
from sparknet.compiler.arguments import bind
from sparknet.compiler.folder import NET
from sparknet.compiler.scope import Scope
from sparknet.compiler.sections import PredictSection
from sparknet.compiler.sources import (
    SINKS,
    SOURCES,
    AudioSource,
    BuiltInSource,
    CsvSource,
    DataSource,
    FileSource,
    ImagesSource,
    JsonSource,
    LibsvmSource,
    OrcSource,
    ParquetSource,
    TextSource,
)
from sparknet.grammar import Source, SparkNetError, parse, syntax
from sparknet.runtime.encoding.binding import check_columns, check_types, with_paths
from sparknet.runtime.encoding.columns import is_bytes
from sparknet.runtime.encoding.profile import check_profile, profile_batches
from sparknet.runtime.engines.base import Engine, OnnxRuntimeEngine
from sparknet.runtime.inference import Predictor, PredictRows, added_fields, kept_columns, predictor
from sparknet.runtime.problems import listing, problem
from sparknet.runtime.run_folder import SavedRun
from sparknet.runtime.sources.places import Place, data_files, in_memory, open_table
from sparknet.runtime.sources.readers import Table

_FILES: dict[str, Callable[[str], FileSource]] = {
    ".parquet": lambda path: ParquetSource(path=path),
    ".csv": lambda path: CsvSource(path=path),
    ".tsv": lambda path: CsvSource(path=path, separator="\t"),
    ".json": lambda path: JsonSource(path=path),
    ".jsonl": lambda path: JsonSource(path=path),
    ".orc": lambda path: OrcSource(path=path),
    ".libsvm": lambda path: LibsvmSource(path=path),
    ".svm": lambda path: LibsvmSource(path=path),
    ".txt": lambda path: TextSource(path=path),
}
_FOLDERS: dict[str, Callable[[str], FileSource]] = {
    **_FILES,
    **dict.fromkeys(ImagesSource.suffixes, lambda path: ImagesSource(path=path)),
    **dict.fromkeys(AudioSource.suffixes, lambda path: AudioSource(path=path)),
}
"""What reads files, and folders of files, by suffix."""


WRITTEN = tuple(suffix for sink in SINKS.values() for suffix in sink.suffixes)
"""The suffixes of files that predictions go to."""
MOST_KEPT = 6
"""Columns that a message lists as options."""


def input_place(text: str) -> Place:
    """The source that a command line names: a call as in a `.net` file, or a path; raises SparkNetError.

    A path is read by its suffix, a folder by that of its files.
    """
    path = Path(text)
    if text in SOURCES and issubclass(SOURCES[text], BuiltInSource):
        return Place(SOURCES[text](), Path())
    if re.match(rf"\s*({'|'.join(SOURCES)})\s*\(", text) and not path.exists():
        return Place(_called(text), Path())
    kinds = {path.suffix.lower()}
    if path.suffix not in _FILES and path.is_dir():
        kinds = {file.suffix.lower() for file in data_files(Place(ImagesSource(path=text), Path()), path)}
    known = _FOLDERS if path.is_dir() else _FILES
    readers = {type(source): source for source in (known[kind](text) for kind in sorted(kinds) if kind in known)}
    if len(readers) == 1:
        return Place(next(iter(readers.values())), Path())
    if readers:
        message = f"the folder `{text}` holds files of several kinds: {listing(sorted(kinds & {*known}))}"
        helps = [f"say which, for instance `{next(iter(readers)).name}(...)`"]
        raise problem("R0052", message, helps=helps)
    helps = [f"known are {', '.join(_FILES)}, folders of them, of images or of recordings", "and sources as in a file"]
    raise problem("R0052", f"`{text}`: what kind of file is it?", helps=helps)


def _called(text: str) -> DataSource:
    """The source that a call describes."""
    source = Source("command line", f"let input_ = {text}")
    (let,) = parse(source).items
    scope = Scope(source, {})
    if not isinstance(let, syntax.Let) or not isinstance(let.value, syntax.Call) or let.value.name.text not in SOURCES:
        raise scope.error("R0052", f"`{text}` is no source", let, f"sources are {listing(SOURCES)}")
    return bind(SOURCES[let.value.name.text], let.value, scope)


def predict_section(run: SavedRun) -> PredictSection:
    """The `predict` section of the net that was trained."""
    source = Source(str((run.folder or Path()) / NET), run.net)
    return examine.predict_section(parse(source), source)


def section_place(section: PredictSection) -> Place:
    """The input that the section names; raises SparkNetError where it names none."""
    if section.input is None:
        helps = ["name the rows with `--input`", "or in the .net file, before training: `predict { input = ... }`"]
        raise problem("R0053", "nothing says which rows to score", helps=helps)
    return Place(section.input, Path())


def section_target(section: PredictSection) -> Path:
    """The output that the section names; raises SparkNetError where it names none."""
    if section.output is None:
        helps = ["name a file with `--output`", "or in the .net file, before training: `predict { output = ... }`"]
        raise problem("R0053", "nothing says where the scores go", helps=helps)
    return Path(section.output.path)


def check_target(output: Path) -> None:
    """Raise SparkNetError where predictions could not be written."""
    if output.suffix not in WRITTEN:
        raise problem("R0052", f"`{output}`: predictions are written as {', '.join(WRITTEN)}")
    if output.exists() or output.is_symlink():
        raise problem(
            "R0050", f"`{output}` exists already", helps=["name another file with `--output`, or remove this one"]
        )
    if not output.absolute().parent.is_dir():
        raise problem("R0050", f"there is no folder `{output.absolute().parent}`", helps=["make it first"])


def check_columns_of(output: Path, schema: pa.Schema, found: Predictor) -> None:
    """Raise SparkNetError for columns of the input that the kind of file cannot hold."""
    wide = [field.name for field in schema if _is_wide(field.type)]
    if output.suffix != ".csv" or not wide:
        return
    plain = [name for name in schema.names if name not in {*wide, *(each.name for each in found.added)}]
    helps = [f"write them all with `--output {quote(str(output.with_suffix('.parquet')))}`"]
    if len(plain) > MOST_KEPT:
        helps.append("or name the columns to keep with `--keep`, once for each")
    elif plain:
        helps.append(f"or keep the others: `{' '.join(f'--keep {quote(name)}' for name in plain)}`")
    message = f"`{output}`: CSV holds no lists, vectors or bytes, as column `{wide[0]}` of the input does"
    raise problem("R0052", message, helps=helps)


def _is_wide(kind: pa.DataType) -> bool:
    """Whether the cells of a type are more than a CSV's fields hold."""
    return bool(pa.types.is_nested(kind) or is_bytes(kind) or pa.types.is_fixed_size_binary(kind))


def predict_local(
    run: SavedRun, place: Place, output: Path, keep: Sequence[str] | None = None, engine: Engine | None = None
) -> int:
    """Predict in this process; `output` becomes one file. Returns the number of rows."""
    check_target(output)
    found = predictor(run, output)
    table = open_table(place)
    known = table.schema.names
    check_columns(found.bound, known)
    kept = kept_columns(known, keep, found)
    found = replace(found, bound=with_paths(found.bound, known))
    rows = PredictRows(found, tuple((name, name) for name in kept), engine or OnnxRuntimeEngine())
    schema = pa.schema([table.schema.field(name) for name in kept] + added_fields(found))
    check_columns_of(output, schema, found)
    _check(found, table)
    columns = list(dict.fromkeys([*kept, *found.columns]))
    partial = output.with_name(f".{output.name}.{token_hex(4)}.partial")
    try:
        count = _write(partial, output.suffix, schema, rows(table.batches(columns)))
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        check_target(output)
        partial.rename(output)
    except OSError as error:
        raise problem("R0050", f"`{output}` cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return count


def predict_table(run: SavedRun, table: pa.Table) -> pa.Table:
    """The columns that predicting for a table adds, as many rows; raises SparkNetError for rows that do not fit."""
    found = predictor(run)
    found = replace(found, bound=with_paths(found.bound, table.column_names))
    check_columns(found.bound, table.column_names)
    kept_columns(table.column_names, None, found)
    rows = in_memory(table)
    _check(found, rows)
    schema = pa.schema(added_fields(found))
    batches = PredictRows(found, (), OnnxRuntimeEngine())(rows.batches(found.columns))
    return pa.Table.from_batches([pa.RecordBatch.from_arrays(b.columns, schema=schema) for b in batches], schema)


def _check(found: Predictor, table: Table) -> None:
    try:
        check_types(found.bound, table.schema)
    except SparkNetError:
        if any(batch.num_rows for batch in table.batches(found.columns)):  # a file without rows may say any type
            raise
    check_profile(profile_batches(table.batches(found.columns), found.bound), found.bound, "scoring")


def _write(path: Path, suffix: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> int:
    count = 0
    with _writer(path, suffix, schema) as write:
        for batch in batches:
            write(pa.RecordBatch.from_arrays(batch.columns, names=schema.names).cast(schema))
            count += batch.num_rows
    return count


@contextmanager
def _writer(path: Path, suffix: str, schema: pa.Schema) -> Iterator[Callable[[pa.RecordBatch], object]]:
    """What writes batches of a schema to a file of the kind that the suffix says."""
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetWriter(path, schema) as parquet:
            yield parquet.write_batch
    elif suffix == ".orc":
        from pyarrow import orc

        with orc.ORCWriter(path) as stripes:
            stripes.write(schema.empty_table())
            yield lambda batch: stripes.write(pa.Table.from_batches([batch]))
    elif suffix == ".csv":
        from pyarrow import csv

        with csv.CSVWriter(path, schema, write_options=csv.WriteOptions(quoting_style="needed")) as fields:
            yield fields.write_batch
    else:
        with path.open("w", encoding="utf-8") as lines:
            yield lambda batch: lines.writelines(json.dumps(row, default=_as_json) + "\n" for row in batch.to_pylist())


def _as_json(value: object) -> str:
    """What JSON has no form for, as Spark writes it: bytes in base 64, all else as a text."""
    return b64encode(value).decode("ascii") if isinstance(value, bytes) else str(value)
