"""The encoding without Spark: rows as they stream from a source, to their places, to blocks.

Rows wait until all have come, for only then their order is known: in memory up to a limit, in a temporary file beyond.
Some 60 bytes of each row, its digest and its key, are held in any case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparknet.compiler.sections import SplitName
from sparknet.runtime import spool
from sparknet.runtime.encoding.binding import BoundPort, bounded
from sparknet.runtime.encoding.encode import (
    Block,
    Bytes,
    Layout,
    Packer,
    Shares,
    digests,
    encode_batch,
    place,
    row_keys,
    split_limits,
)

Indices = NDArray[np.int64]

_AT_ONCE = 1 << 16
"""Rows whose keys are made at once."""


def training_rows(
    batches: Iterable[pa.RecordBatch], bound: Sequence[BoundPort], layout: Layout, shares: Shares
) -> Iterator[pa.RecordBatch]:
    """The rows of each batch that are for training, without a look at what the cells of encoders become."""
    limits = split_limits(shares)
    copies: Counter[bytes] = Counter()
    for batch in bounded(batches, bound):
        payloads = encode_batch(batch, bound, layout, numbers_only=True)
        found = digests(payloads, layout, batch, bound)
        numbers = []
        for digest in found:
            copies[digest] += 1
            numbers.append(copies[digest])
        split, _ = place(row_keys(found, numbers), limits, 1)
        yield batch.filter(pa.array(np.array([limits[number][0] == "train" for number in split], np.bool_)))


def encode_local(
    batches: Iterable[pa.RecordBatch], bound: Sequence[BoundPort], layout: Layout, shares: Shares, workers: int
) -> Iterator[Block]:
    """All blocks of a table, by worker, split and index: what Spark's encoding gives, without Spark.

    Raises SparkNetError where rows that do not fit into memory do not fit on the disk.
    """
    rows = _Rows(layout.row_bytes)
    found: list[bytes] = []
    try:
        for batch in bounded(batches, bound):
            payloads = encode_batch(batch, bound, layout)
            rows.add(payloads)
            found.append(b"".join(digests(payloads, layout, batch, bound)))
        if rows.count:
            yield from _packed(rows, _order(b"".join(found), shares, workers), layout)
    finally:
        rows.close()


@dataclass(frozen=True)
class _Order:
    """The rows of a source, by their numbers in it, in the order of their places and keys; `worker` and `split` too."""

    rows: Indices
    worker: Indices
    split: Indices
    splits: tuple[SplitName, ...]


def _order(digests: bytes, shares: Shares, workers: int) -> _Order:
    """The order of rows by their digests, 16 bytes each."""
    limits = split_limits(shares)
    splits = tuple(split for split, _ in limits)
    pairs = np.frombuffer(digests, "<u8").reshape(-1, 2)
    copies = _copies(pairs)
    keys = np.empty((len(pairs), 2), np.uint64)  # of a key, its first half is more than enough to tell rows apart
    worker, split = np.empty(len(pairs), np.int64), np.empty(len(pairs), np.int64)
    for start in range(0, len(pairs), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        own = [digests[at : at + 16] for at in range(16 * start, min(16 * (start + _AT_ONCE), len(digests)), 16)]
        found = row_keys(own, copies[part].tolist())
        split[part], worker[part] = place(found, limits, workers)
        keys[part] = np.ascontiguousarray(found[:, :16]).view(">u8")
    rank = np.array([sorted(splits).index(name) for name in splits])[split]
    rows = np.lexsort((keys[:, 1], keys[:, 0], rank, worker))
    return _Order(rows, worker[rows], split[rows], splits)


def _copies(digests: NDArray[np.uint64]) -> Indices:
    """For each row, how many rows up to it have its digest, uint64[2] each."""
    grouped = np.lexsort((digests[:, 1], digests[:, 0]))
    ordered = digests[grouped]
    firsts = np.flatnonzero(np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)]))
    sizes = np.diff(np.append(firsts, len(ordered)))
    copies = np.empty(len(ordered), np.int64)
    copies[grouped] = np.arange(len(ordered)) - np.repeat(firsts, sizes) + 1
    return copies


def _packed(rows: _Rows, order: _Order, layout: Layout) -> Iterator[Block]:
    packer = Packer(layout)
    place, begin = order.worker * len(order.splits) + order.split, 0
    for piece in rows.ordered(order.rows):
        here = place[begin : begin + len(piece)]
        for first, last in pairwise([0, *(np.flatnonzero(np.diff(here)) + 1).tolist(), len(here)]):
            at = begin + first
            yield from packer.add(int(order.worker[at]), order.splits[order.split[at]], piece[first:last])
        begin += len(piece)
    yield from packer.finish()


class _Rows:
    """Payloads in the order in which they came."""

    def __init__(self, row_bytes: int) -> None:
        self.count = 0
        self._row_bytes = row_bytes
        self._held: list[Bytes] = []
        self._file: spool.Scratch | None = None

    def add(self, payloads: Bytes) -> None:
        """Payloads of more rows, uint8[rows, row_bytes]."""
        before, self.count = self.count, self.count + len(payloads)
        if self._file is None and self.count * self._row_bytes <= spool.LOCAL_BYTES:
            self._held.append(payloads)
            return
        if self._file is None:
            self._file = spool.Scratch()
            if self._held:
                self._file.write(np.concatenate(self._held).reshape(-1), 0)
            self._held = []
        self._file.write(np.ascontiguousarray(payloads).reshape(-1), before * self._row_bytes)

    def ordered(self, order: Indices) -> Iterator[Bytes]:
        """The rows in another order, in pieces."""
        if self._file is None:
            yield np.concatenate(self._held)[order]
            return
        # Two passes from front to back, not a leap a row: first to the piece where each row belongs, then within it.
        most = max(1, spool.HELD_BYTES // self._row_bytes)
        with closing(spool.Scratch(self.count * self._row_bytes)) as sorted_file:
            piece = np.empty(self.count, np.int64)
            piece[order] = np.arange(self.count) // most
            ends = np.arange(0, self.count, most)
            for start in range(0, self.count, most):
                rows = self._read(self._file, start, min(start + most, self.count))
                here = piece[start : start + len(rows)]
                grouped = np.argsort(here, kind="stable")
                edges = [0, *(np.flatnonzero(np.diff(here[grouped])) + 1).tolist(), len(here)]
                for first, last in pairwise(edges):
                    number = here[grouped[first]]
                    part = np.ascontiguousarray(rows[grouped[first:last]])
                    sorted_file.write(part.reshape(-1), int(ends[number]) * self._row_bytes)
                    ends[number] += last - first
            for start in range(0, self.count, most):
                stop = min(start + most, self.count)
                rank = np.argsort(np.argsort(order[start:stop]))  # they came here in the order of the source
                yield self._read(sorted_file, start, stop)[rank]

    def _read(self, file: spool.Scratch, start: int, stop: int) -> Bytes:
        data = file.read((stop - start) * self._row_bytes, start * self._row_bytes)
        return np.frombuffer(data, np.uint8).reshape(stop - start, self._row_bytes)

    def close(self) -> None:
        """Let go of the rows."""
        if self._file is not None:
            self._file.close()
