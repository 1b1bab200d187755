"""Where checkpoints lie: a folder of this machine, or a place that a URI names.

A place holds entries, each some files. On this machine an entry is written under another name and renamed. Elsewhere a
rename is not atomic, or a copy; there the file that lists the others with their digests is written last, and an entry
without it is none.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from sparknet.compiler.folder import SavedFile, write_folder
from sparknet.grammar.diagnostics import SparkNetError
from sparknet.runtime.hostile import check_size, damaged, read_file, verified
from sparknet.runtime.problems import problem
from sparknet.runtime.sources.places import is_remote
from sparknet.runtime.spark.waits import LateError, in_time

Result = TypeVar("Result")

STORE_SECONDS = 600.0
"""How long a place elsewhere may take for one call: to list, to write or to read an entry."""
_LEFTOVER = re.compile(r"\.round-[0-9]{1,12}\.[0-9a-f]+\.partial")


class Store(Protocol):
    """A place for entries."""

    @property
    def where(self) -> str:
        """The place, as messages name it."""
        ...

    def names(self) -> list[str]:
        """The entries that are there and whole, as far as that can be told without reading them, in any order."""
        ...

    def write(self, name: str, contents: Mapping[str, bytes]) -> None:
        """Write a new entry whole or not at all, its last file listing the others; raises SparkNetError."""
        ...

    def read(self, name: str, file: str, cap: int, expected: SavedFile | None = None) -> bytes:
        """A file of an entry, as `hostile.read_file` reads it; raises SparkNetError."""
        ...

    def remove(self, name: str) -> None:
        """Remove an entry, if it can be."""
        ...

    def tidy(self) -> None:
        """Remove what entries have left that were never finished, and a place of our own that is empty then."""
        ...

    def place(self, name: str, file: str = "") -> str:
        """An entry, or a file of it, as messages name it."""
        ...


@dataclass(frozen=True)
class LocalStore:
    """A folder of this machine."""

    folder: Path
    own: bool = False
    """Whether nobody but sparknet chose its name; one that a user named stays, though it be empty."""

    @property
    def where(self) -> str:
        """As `Store.where`."""
        return str(self.folder)

    def names(self) -> list[str]:
        """As `Store.names`."""
        try:
            return [path.name for path in self.folder.iterdir()]
        except OSError:
            return []

    def write(self, name: str, contents: Mapping[str, bytes]) -> None:
        """As `Store.write`."""
        write_folder(self.folder / name, contents)

    def read(self, name: str, file: str, cap: int, expected: SavedFile | None = None) -> bytes:
        """As `Store.read`."""
        return read_file(self.folder / name / file, cap, expected)

    def remove(self, name: str) -> None:
        """As `Store.remove`."""
        path = self.folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)

    def tidy(self) -> None:
        """As `Store.tidy`."""
        for name in self.names():
            if _LEFTOVER.fullmatch(name):
                self.remove(name)
        if self.own:
            with suppress(OSError):
                self.folder.rmdir()

    def place(self, name: str, file: str = "") -> str:
        """As `Store.place`."""
        return str(self.folder / name / file)


@dataclass(frozen=True)
class RemoteStore:
    """A folder of a filesystem of pyarrow: an object store, HDFS, or what fsspec reaches."""

    files: Any
    """The `pyarrow.fs.FileSystem`."""
    base: str
    where: str
    index: str
    """The file of an entry that is written last."""

    def names(self) -> list[str]:
        """As `Store.names`."""
        found = self._folders()
        infos = self._call("listed", lambda: self.files.get_file_info([self._path(n, self.index) for n in found]))
        return [name for name, info in zip(found, infos, strict=True) if info.is_file]

    def write(self, name: str, contents: Mapping[str, bytes]) -> None:
        """As `Store.write`. What is written too late, when the run is over perhaps, is removed if it is still there."""
        if [*contents][-1] != self.index:
            raise ValueError(f"`{self.index}` is written last")

        def write() -> None:
            self.files.create_dir(self._path(name), recursive=True)
            for file, data in contents.items():
                with self.files.open_output_stream(self._path(name, file)) as out:
                    out.write(data)

        def undo(result: None) -> None:
            # A run that came after may have written an entry of that name: where the list is another's, so is the
            # entry. Should files of both be mixed in it, their digests do not fit the list, and reading refuses it.
            with suppress(Exception):  # of whatever lies behind fsspec; there is nobody left to be told
                own = contents[self.index]
                if self._head(name, self.index, len(own) + 1) == own:
                    self._delete(name, Event())

        self._call("written", write, undo)

    def read(self, name: str, file: str, cap: int, expected: SavedFile | None = None) -> bytes:
        """As `Store.read`."""
        place = self.place(name, file)

        def read() -> bytes:
            info = self.files.get_file_info(self._path(name, file))
            if not info.is_file:
                raise damaged(place, "it is missing")
            check_size(place, info.size or 0, cap, expected)
            return self._head(name, file, info.size or 0)

        return verified(place, self._call("read", read), expected)

    def remove(self, name: str) -> None:
        """As `Store.remove`. A call that comes back too late ends there: an entry of that name may be a newer one."""
        given_up = Event()
        try:
            self._call("removed", lambda: self._delete(name, given_up))
        except SparkNetError:
            given_up.set()

    def tidy(self) -> None:
        """As `Store.tidy`; the place itself stays, for it was not made here."""
        with suppress(SparkNetError):
            whole = self.names()
            for name in self._folders():
                if name not in whole and re.fullmatch(r"round-[0-9]{1,12}", name):
                    self.remove(name)

    def place(self, name: str, file: str = "") -> str:
        """As `Store.place`."""
        return "/".join(filter(None, (self.where.rstrip("/"), name, file)))

    def _head(self, name: str, file: str, most: int) -> bytes:
        """So many bytes of a file, or all that there are."""
        with self.files.open_input_stream(self._path(name, file)) as source:
            return bytes(source.read(most))

    def _path(self, name: str, file: str = "") -> str:
        return "/".join(filter(None, (self.base.rstrip("/"), name, file)))

    def _folders(self) -> list[str]:
        from pyarrow.fs import FileSelector, FileType

        selector = FileSelector(self.base, allow_not_found=True)
        found = self._call("listed", lambda: self.files.get_file_info(selector))
        return [info.base_name for info in found if info.type == FileType.Directory]

    def _delete(self, name: str, given_up: Event) -> None:
        """Remove an entry: its list first, so that it is no entry any more whatever happens then."""
        index = self._path(name, self.index)
        if self.files.get_file_info(index).is_file and not given_up.is_set():
            self.files.delete_file(index)
        if not given_up.is_set():
            self.files.delete_dir(self._path(name))

    def _call(
        self, what: str, work: Callable[[], Result], undo: Callable[[Result], object] = lambda result: None
    ) -> Result:
        try:
            return in_time(STORE_SECONDS, work, undo=undo)
        except LateError as error:
            raise _unreachable(self.where, f"it cannot be {what}: {error}") from error
        except SparkNetError:
            raise
        except Exception as error:  # fsspec lets through what the packages behind it raise
            raise _unreachable(self.where, f"it cannot be {what}: {_first_line(error)}") from error


def open_store(uri: str, index: str) -> Store:
    """The place that a URI or a path names; raises SparkNetError where nothing here reaches such places.

    `index` names the file of an entry that lists the others.
    """
    if not is_remote(uri):
        return LocalStore(Path(uri))
    scheme = urlsplit(uri).scheme
    if scheme == "file":
        return LocalStore(Path(unquote(urlsplit(uri).path)))
    where = re.sub(r"//[^/@]*@", "//", uri.partition("?")[0])  # messages hold no password
    import pyarrow as pa
    from pyarrow import fs

    try:
        files, base = fs.FileSystem.from_uri(re.sub(r"^s3[an]:", "s3:", uri))
    except (pa.ArrowInvalid, ValueError):
        files, base = _by_fsspec(uri, where)
    except Exception as error:
        helps = []
        if scheme in ("hdfs", "viewfs"):
            helps = [
                "pyarrow needs Hadoop's libhdfs: set HADOOP_HOME, and CLASSPATH to what `hadoop classpath --glob` says"
            ]
        raise _unreachable(where, _first_line(error), *helps) from error
    return RemoteStore(files, base, where, index)


def _by_fsspec(uri: str, where: str) -> tuple[Any, str]:
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    scheme = urlsplit(uri).scheme
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise _unreachable(where, f"pyarrow knows no `{scheme}:`", "pip install fsspec, which knows more") from error
    try:
        found, base = url_to_fs(uri)
    except Exception as error:
        raise _unreachable(where, _first_line(error)) from error
    return PyFileSystem(FSSpecHandler(found)), base


def _unreachable(where: str, why: str, *helps: str) -> SparkNetError:
    return problem("R0048", f"checkpoints at `{where}`: {why}", helps=helps)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
