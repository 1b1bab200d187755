"""Bytes that need not lie in memory: small amounts do, large ones lie in a temporary file that no one has to remove."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from sparknet.runtime.problems import problem

HELD_BYTES = 64 << 20
"""What a worker holds in memory of the rows that it is given; more goes to a file."""

LOCAL_BYTES = 256 << 20
"""What a run in this process holds in memory of the rows of all workers; more goes to files."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def scratch_folder() -> str:
    """Where temporary files lie: where Spark spills to in its workers, else where `TMPDIR` says."""
    return os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0] or tempfile.gettempdir()


class Scratch:
    """A temporary file without a name, so that it is gone with the process, however that ends.

    Threads may share it. All methods raise SparkNetError where the disk is full.
    """

    def __init__(self, size: int = 0) -> None:
        """`size` bytes are claimed at once, so that a disk without room for them is known before the work is done."""
        self._folder = scratch_folder()
        with self._on_disk():
            self._file = tempfile.TemporaryFile(buffering=0, dir=self._folder, prefix="sparknet-")  # noqa: SIM115
            self._lock = Lock()
            try:
                if size and hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(self._file.fileno(), 0, size)
            except OSError:
                self._file.close()
                raise

    def write(self, data: NDArray[np.uint8], offset: int) -> None:
        """Put bytes, uint8[size], at a place."""
        rest = data.data
        with self._on_disk(), self._lock:
            self._file.seek(offset)
            while rest:
                rest = rest[self._file.write(rest) :]

    def read(self, size: int, offset: int) -> bytearray:
        """The bytes at a place, which have been written before."""
        found = bytearray(size)
        rest = memoryview(found)
        with self._on_disk(), self._lock:
            self._file.seek(offset)
            while rest:
                count = self._file.readinto(rest)
                if not count:
                    raise OSError(errno.EIO, "a temporary file ends too early")
                rest = rest[count:]
        return found

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            raise problem(
                "R0034",
                f"no room in `{self._folder}` for rows that do not fit into memory: {error.strerror}",
                helps=["make room there, or name another folder: `spark.local.dir` on Spark, else `TMPDIR`"],
            ) from error
