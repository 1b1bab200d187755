"""The rows that a round trains on, in the order in which it takes them: in memory, or in a file where they are many.

Blocks stream by in the order in which they are stored; a round wants their rows in another. Of a stream of epochs the
rows of a block lie side by side, so each block is written in few pieces, and what is read is read from front to back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sparknet.runtime.encoding.columns import Numbers
from sparknet.runtime.encoding.encode import Layout
from sparknet.runtime.spool import Scratch

Indices = NDArray[np.int64]


class Rows(Protocol):
    """So many rows, each at its place, field by field."""

    def put(self, places: Indices, fields: Sequence[Numbers]) -> None:
        """Store rows, `[len(places), *shape]` of each field, at `places`, which ascend."""
        ...

    def get(self, start: int, stop: int) -> list[Numbers]:
        """A stretch of the rows, `[stop - start, *shape]` of each field."""
        ...


@contextmanager
def rows_of(layout: Layout, count: int, held: int) -> Iterator[Rows]:
    """Room for `count` rows, in memory up to `held` bytes, else in a temporary file."""
    if count * layout.row_bytes <= held:
        yield _Held(layout, count)
        return
    rows = _Spooled(layout, count)
    try:
        yield rows
    finally:
        rows.file.close()


class _Held:
    def __init__(self, layout: Layout, count: int) -> None:
        self._fields = [np.empty((count, *field.port.type.shape), field.dtype) for field in layout.fields]

    def put(self, places: Indices, fields: Sequence[Numbers]) -> None:
        for stored, found in zip(self._fields, fields, strict=True):
            stored[places] = found

    def get(self, start: int, stop: int) -> list[Numbers]:
        return [stored[start:stop] for stored in self._fields]


class _Spooled:
    def __init__(self, layout: Layout, count: int) -> None:
        self._fields = layout.fields
        self._offsets = np.cumsum([0, *(count * field.nbytes for field in layout.fields)]).tolist()
        self.file = Scratch(count * layout.row_bytes)

    def put(self, places: Indices, fields: Sequence[Numbers]) -> None:
        edges = [0, *(np.flatnonzero(np.diff(places) != 1) + 1).tolist(), len(places)]
        for offset, field, found in zip(self._offsets, self._fields, fields, strict=False):
            data = np.ascontiguousarray(found).reshape(-1).view(np.uint8)
            for first, last in pairwise(edges):
                place = offset + int(places[first]) * field.nbytes
                self.file.write(data[first * field.nbytes : last * field.nbytes], place)

    def get(self, start: int, stop: int) -> list[Numbers]:
        found = []
        for offset, field in zip(self._offsets, self._fields, strict=False):
            data = self.file.read((stop - start) * field.nbytes, offset + start * field.nbytes)
            found.append(np.frombuffer(data, field.dtype).reshape(stop - start, *field.port.type.shape))
        return found
