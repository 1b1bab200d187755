"""Rows to bytes, bytes to places, places to blocks.

A row's payload is its ports' numbers side by side, each in the smallest element type that holds the whole column. Where
a row goes (split, worker, order) depends on nothing but its numbers and how many equal rows came before it, so neither
the order of the source nor the other rows nor the number of partitions nor the shape of the cluster can change it.

    digest = blake2b-16(numbers)      copy = 1 for the first row with this digest, 2 for the next, ...
    key    = sha2-256("DIGEST:copy")  in hexadecimal; digits 1 to 13 choose the split, 14 to 21 the worker

Within a worker and split, rows are ordered by key and packed into blocks of about 1 MiB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparknet.compiler.compiled import Port
from sparknet.compiler.sections import SPLITS, SplitName
from sparknet.runtime.encoding.binding import BoundPort
from sparknet.runtime.encoding.columns import Numbers
from sparknet.runtime.encoding.profile import Profile, Range
from sparknet.runtime.encoding.terms import identities
from sparknet.runtime.problems import changed

Bytes = NDArray[np.uint8]
Shares = Mapping[SplitName, float]
"""What part of the rows of a source goes to each split."""

BLOCK_BYTES = 1 << 20
SPLIT_DIGITS, WORKER_DIGITS = 13, 8

_WHOLE_TYPES = ("<u1", "<i1", "<u2", "<i2", "<i4")


@dataclass(frozen=True)
class Field:
    """The place of a port in a payload: `count` numbers of little-endian `dtype`."""

    port: Port
    dtype: str

    @property
    def count(self) -> int:
        """Numbers in a row."""
        return self.port.type.size

    @property
    def nbytes(self) -> int:
        """Bytes in a row."""
        return self.count * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Layout:
    """What a payload holds, in order. Every block but the last of its worker and split has `block_rows` rows."""

    fields: tuple[Field, ...]
    block_rows: int

    @property
    def row_bytes(self) -> int:
        """Bytes in a row."""
        return sum(field.nbytes for field in self.fields)


@dataclass(frozen=True)
class Block:
    """Some rows of one worker and split; `payload` holds the fields one after the other, all rows of each."""

    worker: int
    split: SplitName
    index: int
    rows: int
    payload: bytes | memoryview

    def digest(self) -> bytes:
        """blake2b-16 of the payload."""
        return blake2b(self.payload, digest_size=16).digest()

    def arrays(self, layout: Layout) -> list[Numbers]:
        """The numbers of each field, `[rows, *shape]` in the field's stored type, without a copy."""
        arrays, offset = [], 0
        for field in layout.fields:
            flat = np.frombuffer(self.payload, field.dtype, self.rows * field.count, offset)
            arrays.append(flat.reshape(self.rows, *field.port.type.shape))
            offset += self.rows * field.nbytes
        return arrays


# ----- rows to bytes -----


def choose_layout(bound: Sequence[BoundPort], profile: Profile) -> Layout:
    """The smallest element type for each port that holds all that the profile saw."""
    fields = tuple(Field(b.port, _smallest(r)) for b, r in zip(bound, profile.ranges, strict=True))
    return Layout(fields, max(1, BLOCK_BYTES // sum(field.nbytes for field in fields)))


def _smallest(seen: Range) -> str:
    if seen.whole:
        for name in _WHOLE_TYPES:
            limits = np.iinfo(name)
            if limits.min <= seen.low and seen.high <= limits.max:
                return name
    return "<f4"


def encode_batch(
    batch: pa.RecordBatch, bound: Sequence[BoundPort], layout: Layout, numbers_only: bool = False
) -> Bytes:
    """The payloads of a batch, uint8[rows, row_bytes]; raises SparkNetError where pass 1 saw other values.

    With `numbers_only`, as much of them as `digests` looks at: zeros stand where cells would have to be encoded.
    """
    columns = [
        np.zeros((batch.num_rows, field.count), field.dtype)
        if numbers_only and each.encoder is not None
        else each.read(batch).numbers
        for each, field in zip(bound, layout.fields, strict=True)
    ]
    return encode_columns(columns, bound, layout)


def encode_columns(columns: Iterable[Numbers | None], bound: Sequence[BoundPort], layout: Layout) -> Bytes:
    """The payloads of rows, uint8[rows, row_bytes], of what each port reads: `[rows, count]`, None for bad rows.

    Raises SparkNetError for bad rows, and for numbers that the layout has no room for: pass 1 saw other values.
    """
    parts = []
    for numbers, each, field in zip(columns, bound, layout.fields, strict=True):
        with np.errstate(invalid="ignore"):  # what does not fit is found below
            stored = None if numbers is None else numbers.astype(field.dtype)
        if stored is None or (stored.dtype.kind in "iu" and not np.array_equal(stored, cast(Numbers, numbers))):
            raise changed(f"column `{each.columns[0]}`", each.label)
        stored = stored + np.zeros((), field.dtype)  # -0.0 becomes 0.0: rows that are equal have equal bytes
        parts.append(np.ascontiguousarray(stored).view(np.uint8).reshape(len(stored), field.nbytes))
    return np.concatenate(parts, axis=1)


def numbers_of(payloads: Bytes, layout: Layout) -> list[Numbers]:
    """The numbers of each field, `[rows, count]` in the field's stored type, of payloads uint8[rows, row_bytes]."""
    stops = np.cumsum([field.nbytes for field in layout.fields])[:-1]
    parts = zip(np.split(payloads, stops, axis=1), layout.fields, strict=True)
    return [np.ascontiguousarray(part).view(field.dtype) for part, field in parts]


def digests(payloads: Bytes, layout: Layout, batch: pa.RecordBatch | None, bound: Sequence[BoundPort]) -> list[bytes]:
    """blake2b-16 of each row's numbers as the graphs take them, and of the cells that are encoded, as they are.

    The `batch` is where those cells are; where all ports take numbers, there are none.

    Of the payload itself, it would change for every row when one new row makes a column need a wider element type, or
    when an encoder learns something else.
    """
    parts = []
    for stored, field, each in zip(numbers_of(payloads, layout), layout.fields, bound, strict=True):
        if each.encoder is None:
            numbers = stored.astype(field.port.type.dtype) + 0  # no -0.0
            parts.append(numbers.view(np.uint8))
        elif field.port.measures is None and batch is not None:
            cells = b"".join(
                blake2b(cell, digest_size=16).digest() for cell in identities(batch.column(each.columns[0]))
            )
            parts.append(np.frombuffer(cells, np.uint8).reshape(-1, 16))
    rows = np.concatenate(parts, axis=1)
    return [blake2b(row, digest_size=16).digest() for row in rows]


# ----- bytes to places -----


def split_limits(shares: Shares) -> list[tuple[SplitName, int]]:
    """For each split, the limit below which the first `SPLIT_DIGITS` digits of a key choose it."""
    limits: list[tuple[SplitName, int]] = []
    total = 0.0
    for split in SPLITS:
        if split in shares:
            total += shares[split]
            limits.append((split, round(total * 16**SPLIT_DIGITS)))
    limits[-1] = (limits[-1][0], 16**SPLIT_DIGITS)
    return limits


def row_keys(digests: Iterable[bytes], copies: Iterable[int]) -> Bytes:
    """The keys of rows, uint8[rows, 32]."""
    keys = [
        sha256(f"{digest.hex().upper()}:{copy}".encode()).digest() for digest, copy in zip(digests, copies, strict=True)
    ]
    return np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32)


def place(
    keys: Bytes, limits: Sequence[tuple[SplitName, int]], workers: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The split of each row, by its number in `limits`, and its worker."""
    first, second = np.ascontiguousarray(keys[:, :16]).view(">u8").astype(np.uint64).T
    beyond = np.uint64(64 - 4 * SPLIT_DIGITS)
    split = np.searchsorted([limit for _, limit in limits], (first >> beyond).astype(np.int64), side="right")
    rest = np.uint64(4 * WORKER_DIGITS - (64 - 4 * SPLIT_DIGITS))
    share = ((first & np.uint64((1 << int(beyond)) - 1)) << rest) | (second >> (np.uint64(64) - rest))
    worker = share * np.uint64(workers) >> np.uint64(4 * WORKER_DIGITS)
    return split.astype(np.int64), worker.astype(np.int64)


# ----- places to blocks -----


class Packer:
    """Cuts rows that arrive in order (by worker, then split) into blocks."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._place: tuple[int, SplitName] = (0, "train")
        self._index = 0
        self._held: list[Bytes] = []
        self._rows = 0

    def add(self, worker: int, split: SplitName, payloads: Bytes) -> Iterator[Block]:
        """Take rows of one worker and split, uint8[rows, row_bytes]; give the blocks that they complete."""
        if self._place != (worker, split):
            yield from self.finish()
            self._place, self._index = (worker, split), 0
        while len(payloads):
            taken = payloads[: self._layout.block_rows - self._rows]
            payloads = payloads[len(taken) :]
            self._held.append(taken)
            self._rows += len(taken)
            if self._rows == self._layout.block_rows:
                yield self._cut()

    def finish(self) -> Iterator[Block]:
        """The last block, if any row is held."""
        if self._rows:
            yield self._cut()

    def _cut(self) -> Block:
        rows = np.concatenate(self._held)
        stops = np.cumsum([field.nbytes for field in self._layout.fields])[:-1]
        payload = b"".join(part.tobytes() for part in np.split(rows, stops, axis=1))
        block = Block(*self._place, self._index, self._rows, payload)
        self._held, self._rows, self._index = [], 0, self._index + 1
        return block
