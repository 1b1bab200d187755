"""Sources of rows, read in this process with pyarrow. `spark_sources` reads the same ones as Spark DataFrames."""

from __future__ import annotations

import csv
import gzip
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from sparknet.compiler.sections import CsvSource, DataSource, DigitsSource, JsonSource, ParquetSource
from sparknet.grammar.diagnostics import Label, SparkNetError
from sparknet.runtime.problems import problem

FileSource = ParquetSource | CsvSource | JsonSource

_BATCH_ROWS = 8192


@dataclass(frozen=True)
class Table:
    """Rows to read, as often as wished: `batches(columns)` gives those columns, in the same order every time."""

    schema: pa.Schema
    batches: Callable[[Sequence[str]], Iterator[pa.RecordBatch]]


@dataclass(frozen=True)
class Place:
    """A source, the folder that its paths start from, and where the `.net` file names it.

    What a `.net` file names must lie in its folder or below one of `roots`, folders or URIs.
    """

    source: DataSource
    folder: Path
    label: Label | None = None
    roots: tuple[str, ...] = ()


def place_of(source: DataSource, label: Label, roots: tuple[str, ...] = ()) -> Place:
    """A source whose paths start from the folder of the `.net` file that names it (or from here, without a file)."""
    return Place(source, Path(label.source.name).parent, label, roots)


def is_remote(path: str) -> bool:
    """Whether a path is a URI such as `s3a://bucket/rows` or `hdfs:///rows`."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", path) is not None


def local_path(place: Place, path: str) -> Path:
    """Where a path of the source is on this machine."""
    return place.folder / path.removeprefix("file://") if path.startswith("file:///") else place.folder / path


def check_source(place: Place) -> None:
    """Raise SparkNetError for a source that the file may not name, and for one on this machine that is not there."""
    source = place.source
    if isinstance(source, DigitsSource):
        return
    if is_remote(source.path) and not source.path.startswith("file:///"):
        if place.label is not None and not any(_is_below(source.path, root) for root in place.roots):
            raise _outside(place, source.path)
        return
    path = local_path(place, source.path)
    if place.label is not None:
        _check_inside(place, path)
    if not path.exists():
        raise missing(place, str(path))


def _check_inside(place: Place, path: Path) -> None:
    """Raise SparkNetError where a path, or a link in the folder that it names, leads out of all roots."""
    roots = [os.path.realpath(r.removeprefix("file://")) for r in (str(place.folder), *place.roots) if _is_local(r)]
    seen: set[str] = set()
    ahead = [str(path)]
    while ahead:
        real = os.path.realpath(ahead.pop())
        if not any(Path(real).is_relative_to(root) for root in roots):
            raise _outside(place, real)
        if real not in seen and os.path.isdir(real):
            seen.add(real)
            with suppress(OSError), os.scandir(real) as entries:  # what cannot be listed cannot be read either
                ahead += [entry.path for entry in entries if entry.is_symlink() or entry.is_dir()]


def _is_local(root: str) -> bool:
    return root.startswith("file:///") or not is_remote(root)


def _is_below(uri: str, root: str) -> bool:
    """Whether a URI lies below another; one that climbs with `..`, also in disguise, never does."""
    if ".." in unquote(uri).split("/") or not is_remote(root):
        return False
    return uri == root or uri.startswith(root.rstrip("/") + "/")


def _outside(place: Place, path: str) -> SparkNetError:
    return problem(
        "R0007",
        f"`{path}` is outside the folder of the .net file",
        label=place.label,
        helps=[f"if the file may read it, add `--data {quote(path)}`, or `data_roots=[...]` in Python"],
    )


def missing(place: Place, path: str) -> SparkNetError:
    """The source is not there."""
    relative = not isinstance(place.source, DigitsSource) and not Path(place.source.path).is_absolute()
    helps = ["paths start from the folder of the .net file"] if relative and place.label else []
    path = path if is_remote(path) else str(Path(path).absolute())
    return problem("R0001", f"there is nothing at `{path}`", label=place.label, helps=helps)


def unreadable(place: Place, path: object, why: object) -> SparkNetError:
    """The source is there, but is not what it claims to be."""
    first = (str(why).strip().splitlines() or ["no reason given"])[0]
    return problem("R0003", f"`{path}` cannot be read as {place.source.name}: {first}", label=place.label)


def open_table(place: Place) -> Table:
    """The rows of a source; raises SparkNetError where it is missing, unreadable or only Spark can reach it."""
    check_source(place)
    source = place.source
    if isinstance(source, DigitsSource):
        table = digits()
        return Table(table.schema, lambda columns: iter(table.select(list(columns)).to_batches(_BATCH_ROWS)))
    if is_remote(source.path) and not source.path.startswith("file:///"):
        raise problem(
            "R0005",
            f"`{source.path}` is not on this machine",
            label=place.label,
            helps=["run without `--local`: Spark reads such paths"],
        )
    files = data_files(place, local_path(place, source.path))

    def batches(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for file in files:
            try:
                yield from _read(source, file, columns)
            except (pa.ArrowException, OSError, KeyError) as error:
                raise unreadable(place, file, error) from error

    try:
        schema = _schema(source, files[0])
    except (pa.ArrowException, OSError) as error:
        raise unreadable(place, files[0], error) from error
    return Table(schema, batches)


def data_files(place: Place, path: Path) -> list[Path]:
    """The files of a source, by name; those that begin with `_` or `.` are not data (as in Spark)."""
    if path.is_file():
        return [path]
    files = sorted(p for p in path.rglob("*") if p.is_file())
    files = [p for p in files if not any(part[0] in "._" for part in p.relative_to(path).parts)]
    if not files:
        raise problem("R0001", f"the folder `{path}` holds no files", label=place.label)
    return files


def digits() -> pa.Table:
    """scikit-learn's handwritten digits: `pixels` list<float>[64], 0 to 16, and `label` int64.

    The file is read from the package's folder: importing `sklearn.datasets` takes more than a second.
    """
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise problem("R0001", "digits() comes with scikit-learn, which is not installed", helps=["install it"])
    packed = Path(package.submodule_search_locations[0], "datasets/data/digits.csv.gz").read_bytes()
    rows = np.array(list(csv.reader(gzip.decompress(packed).decode("ascii").splitlines())), np.float64)
    pixels = pa.FixedSizeListArray.from_arrays(pa.array(rows[:, :64].astype(np.float32).ravel()), 64)
    label = pa.array(rows[:, 64].astype(np.int64))
    return pa.table({"pixels": pixels.cast(pa.list_(pa.float32())), "label": label})


# ----- files: pyarrow's readers one by one, since `pyarrow.dataset` takes a second to import -----


def _schema(source: FileSource, file: Path) -> pa.Schema:
    if isinstance(source, ParquetSource):
        import pyarrow.parquet as pq

        return pq.read_schema(file)
    return next(_read(source, file, None)).schema


def _read(source: FileSource, file: Path, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    """The batches of a file; `columns` None for all."""
    if isinstance(source, ParquetSource):
        import pyarrow.parquet as pq

        with pq.ParquetFile(file) as parquet:
            chosen = None if columns is None else list(columns)
            for batch in parquet.iter_batches(_BATCH_ROWS, columns=chosen, use_threads=False):
                yield batch if columns is None else batch.select(columns)
        return
    table = _read_csv(source, file) if isinstance(source, CsvSource) else _read_json(file)
    yield from (table if columns is None else table.select(list(columns))).to_batches(_BATCH_ROWS) or [
        pa.RecordBatch.from_pylist([], schema=table.schema)
    ]


def _read_csv(source: CsvSource, file: Path) -> pa.Table:
    """As Spark reads it: only an empty field is null, and columns without a header are `_c0`, `_c1`, ..."""
    from pyarrow import csv as arrow_csv

    convert = arrow_csv.ConvertOptions(null_values=[""], strings_can_be_null=True)
    read = arrow_csv.ReadOptions(autogenerate_column_names=not source.header, use_threads=False)
    table = arrow_csv.read_csv(file, read_options=read, convert_options=convert)
    return table if source.header else table.rename_columns([f"_c{i}" for i in range(table.num_columns)])


def _read_json(file: Path) -> pa.Table:
    from pyarrow import json as arrow_json

    return arrow_json.read_json(file, read_options=arrow_json.ReadOptions(use_threads=False))
