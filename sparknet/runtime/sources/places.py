"""Sources of rows, read in this process with pyarrow. `spark.sources` reads the same ones as Spark DataFrames."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from urllib.parse import unquote

import pyarrow as pa

from sparknet.compiler.sources import BuiltInSource, DataSource, FileSource, MediaSource
from sparknet.grammar.diagnostics import Label, SparkNetError
from sparknet.grammar.reading import beside
from sparknet.runtime.problems import problem
from sparknet.runtime.sources.builtin import read_built_in
from sparknet.runtime.sources.readers import BATCH_ROWS, Files, Table, open_files

MOST_FILES = 1_000_000
DEEPEST = 32
"""How many files a folder may hold, and how deep."""


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


def is_here(source: FileSource) -> bool:
    """Whether the path of a source is one on this machine."""
    return not is_remote(source.path) or source.path.startswith("file:///")


def local_path(place: Place, path: str) -> Path:
    """Where a path of the source is on this machine."""
    return place.folder / path.removeprefix("file://") if path.startswith("file:///") else place.folder / path


def check_source(place: Place) -> None:
    """Raise SparkNetError for a source that the file may not name, and for one on this machine that is not there."""
    source = place.source
    if not isinstance(source, FileSource):
        return
    if not is_here(source):
        if place.label is not None and not any(_is_below(source.path, root) for root in place.roots):
            raise _outside(place, source.path)
        return
    path = local_path(place, source.path)
    if place.label is not None:
        _check_inside(place, path)
    if not path.exists():
        raise missing(place, str(path))
    if isinstance(source, MediaSource) and not path.is_dir():
        raise problem("R0001", f"`{path}` is no folder", label=place.label)


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
    relative = isinstance(place.source, FileSource) and not Path(place.source.path).is_absolute()
    helps = ["paths start from the folder of the .net file"] if relative and place.label else []
    if not is_remote(path):
        near = beside(Path(path))
        helps += [f"did you mean `{near.name}`, beside it?"] if near else []
        path = str(Path(path).absolute())
    return problem("R0001", f"there is nothing at `{path}`", label=place.label, helps=helps)


def open_table(place: Place) -> Table:
    """The rows of a source; raises SparkNetError where it is missing, unreadable or only Spark can reach it."""
    check_source(place)
    source = place.source
    if isinstance(source, BuiltInSource):
        return in_memory(read_built_in(source.name))
    if isinstance(source, FileSource) and is_here(source):
        path = local_path(place, source.path)
        return open_files(Files(source, data_files(place, path), path, place.label))
    what = f"`{source.path}` is not on this machine" if isinstance(source, FileSource) else f"{source} is Spark's"
    raise problem("R0005", what, label=place.label, helps=["run without `--local`: Spark reads it"])


def in_memory(table: pa.Table) -> Table:
    """The rows of an Arrow table."""
    return Table(table.schema, lambda columns: iter(table.select(list(columns)).to_batches(BATCH_ROWS)))


def data_files(place: Place, path: Path) -> list[Path]:
    """The files of a source, by name; those that begin with `_` or `.` are not data (as in Spark)."""
    if path.is_file():
        return [path]
    files = []
    for file in _walk(place, path, 0):
        files.append(file)
        if len(files) > MOST_FILES:
            raise problem("R0009", f"the folder `{path}` holds more than {MOST_FILES:,} files", label=place.label)
    if not files:
        raise problem("R0001", f"the folder `{path}` holds no files", label=place.label)
    return sorted(files)


def _walk(place: Place, folder: Path, depth: int) -> Iterator[Path]:
    """The files below a folder; links are followed, as Hadoop does."""
    if depth > DEEPEST:
        helps = ["is there a link that leads back up?"]
        raise problem("R0009", f"`{folder}` lies more than {DEEPEST} folders deep", label=place.label, helps=helps)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise problem("R0003", f"`{folder}` cannot be read: {error.strerror}", label=place.label) from error
    for entry in entries:
        if entry.name[0] in "._":
            continue
        if entry.is_dir():
            yield from _walk(place, Path(entry), depth + 1)
        elif entry.is_file():
            yield Path(entry)
