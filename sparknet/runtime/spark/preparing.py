"""Rows of the sources to blocks, in Spark's Python workers: callables for `mapInArrow`, as in `tasks`.

A source is read, checked (`ProfileRows`) and encoded (`EncodeRows`), its rows find their places (`PlaceRows`) and are
packed into blocks (`PackRows`). What the check reads of numbers is kept, so that the encoding (`RecodeRows`) need not
read the source again: Spark takes longer to parse a file and to hand a list to Python than we take for all else.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.pandas.types import from_arrow_schema

from sparknet.compiler.sections import SPLITS
from sparknet.runtime.encoding.binding import BoundPort, bounded
from sparknet.runtime.encoding.columns import Column
from sparknet.runtime.encoding.encode import (
    Block,
    Bytes,
    Layout,
    Packer,
    Shares,
    choose_layout,
    digests,
    encode_batch,
    encode_columns,
    numbers_of,
    place,
    row_keys,
    split_limits,
)
from sparknet.runtime.encoding.learning import learners
from sparknet.runtime.encoding.profile import Profile, profile_columns, read_columns
from sparknet.runtime.encoding.terms import terms_of

Batches = Iterator[pa.RecordBatch]

_PROFILES = pa.schema(
    [
        ("partition", pa.int32()),
        ("profile", pa.string()),
        ("repeats", pa.bool_()),
        ("types", pa.list_(pa.string())),
        ("payloads", pa.binary()),
    ]
)
PROFILE_SCHEMA = from_arrow_schema(_PROFILES)

ROW_SCHEMA = from_arrow_schema(pa.schema([("digest", pa.binary()), ("payload", pa.binary())]))

_TERMS = pa.list_(pa.struct([("port", pa.int32()), ("term", pa.string())]))
TERM_SCHEMA = from_arrow_schema(pa.schema([("digest", pa.binary()), ("terms", _TERMS)]))

PLACE_SCHEMA = from_arrow_schema(pa.schema([("worker", pa.int32()), ("split", pa.string()), ("rank", pa.binary())]))

_BLOCKS = pa.schema(
    [
        ("worker", pa.int32()),
        ("split", pa.string()),
        ("index", pa.int32()),
        ("rows", pa.int32()),
        ("payload", pa.binary()),
        ("digest", pa.binary()),
    ]
)
BLOCK_SCHEMA = from_arrow_schema(_BLOCKS)
REPEATED = -1
"""In the place of a block's index: rows that are equal have found one place, as if there were no others like them."""


@dataclass(frozen=True)
class ProfileRows:
    """The profile of each partition, as JSON."""

    bound: tuple[BoundPort, ...]
    decode: bool
    keeps: bool
    """Whether what was read is handed on too: for `RecodeRows`, where all ports take numbers."""

    def __call__(self, batches: Batches) -> Batches:
        """A row of some MiB at most for each part of what was read, then one of the partition's number and profile.

        That one says too whether a batch had equal rows, since where none has, there are likely none at all.
        """
        from pyspark import TaskContext

        context = TaskContext.get()
        partition = context.partitionId() if context else 0
        total, repeats = Profile.empty(len(self.bound)), False
        for batch in bounded(batches, self.bound):
            columns = read_columns(batch, self.bound, self.decode)
            found = profile_columns(columns, self.bound, batch.num_rows)
            total = total.merge(found)
            if self.keeps and not total.bad:
                layout, payloads = self._smallest(columns, found)
                repeats = repeats or pc.count_distinct(_binary(payloads)).as_py() < len(payloads)
                types = [field.dtype for field in layout.fields]
                for start in range(0, len(payloads), layout.block_rows):
                    kept = payloads[start : start + layout.block_rows].tobytes()
                    yield _profile_row(None, None, None, types, kept)
        yield _profile_row(partition, total.model_dump_json(), repeats, None, None)

    def _smallest(self, columns: list[Column], profile: Profile) -> tuple[Layout, Bytes]:
        """The numbers in the smallest types that hold these rows; the types that hold all rows hold them too."""
        layout = choose_layout(self.bound, profile)
        return layout, encode_columns([column.numbers for column in columns], self.bound, layout)


@dataclass(frozen=True)
class EncodeRows:
    """Rows of a source to payloads and their digests."""

    bound: tuple[BoundPort, ...]
    layout: Layout

    def __call__(self, batches: Batches) -> Batches:
        """A row for each row, in parts whose payloads stay well below Arrow's 2 GiB."""
        most = max(1, (1 << 28) // self.layout.row_bytes)
        for batch in bounded(batches, self.bound):
            for start in range(0, batch.num_rows, most):
                part = batch.slice(start, most)
                payloads = encode_batch(part, self.bound, self.layout)
                yield _encoded(payloads, digests(payloads, self.layout, part, self.bound))


@dataclass(frozen=True)
class RecodeRows:
    """As `EncodeRows`, from rows of `PROFILE_SCHEMA` with what was read."""

    bound: tuple[BoundPort, ...]
    layout: Layout

    def __call__(self, batches: Batches) -> Batches:
        """A row for each row."""
        for batch in batches:
            for types, payloads in zip(batch.column("types").to_pylist(), batch.column("payloads"), strict=True):
                fields = zip(self.layout.fields, types, strict=True)
                found = Layout(tuple(replace(field, dtype=dtype) for field, dtype in fields), self.layout.block_rows)
                read = np.frombuffer(payloads.as_buffer(), np.uint8).reshape(-1, found.row_bytes)
                recoded = encode_columns(numbers_of(read, found), self.bound, self.layout)
                yield _encoded(recoded, digests(recoded, self.layout, None, self.bound))


def _encoded(payloads: Bytes, found: list[bytes]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(found, pa.binary()), _binary(payloads)], names=["digest", "payload"])


def _profile_row(*values: object) -> pa.RecordBatch:
    return one_row(_PROFILES, values)


@dataclass(frozen=True)
class TermRows:
    """Rows to their digests and to the terms that encoders may learn from them."""

    bound: tuple[BoundPort, ...]
    layout: Layout

    def __call__(self, batches: Batches) -> Batches:
        """A row for each row."""
        learning = learners(self.bound)
        for batch in bounded(batches, self.bound):
            payloads = encode_batch(batch, self.bound, self.layout, numbers_only=True)
            terms: list[list[dict[str, object]]] = [[] for _ in range(batch.num_rows)]
            for index, each in learning.items():
                for row, own in zip(terms, terms_of(batch.column(each.column), each.encoder), strict=True):
                    row.extend({"port": index, "term": term} for term in own)
            columns = [
                pa.array(digests(payloads, self.layout, batch, self.bound), pa.binary()),
                pa.array(terms, _TERMS),
            ]
            yield pa.RecordBatch.from_arrays(columns, names=["digest", "terms"])


@dataclass(frozen=True)
class PlaceRows:
    """Rows in the order of their digests to their places; the column `carried` comes along."""

    shares: Shares
    workers: int
    carried: str
    distinct: bool = False
    """Whether each row is taken for the only one of its kind; else they come in the order of their digests."""

    def __call__(self, batches: Batches) -> Batches:
        """A row for each row; `rank` puts them in the order of splits, then keys.

        Spark compares the first eight bytes of rows without looking at them again, which decide here; of two columns
        they would be the split's alone.
        """
        limits = split_limits(self.shares)
        splits = pa.array([name for name, _ in limits])
        order = np.array([SPLITS.index(name) for name, _ in limits], np.uint8)
        last, copies = b"", 0
        for batch in batches:
            found, numbers = batch.column("digest").to_pylist(), []
            for digest in found:
                copies = copies + 1 if digest == last and not self.distinct else 1
                last = digest
                numbers.append(copies)
            keys = row_keys(found, numbers)
            split, worker = place(keys, limits, self.workers)
            rank = np.concatenate([order[split][:, np.newaxis], keys], axis=1)
            columns = [pa.array(worker, pa.int32()), splits.take(pa.array(split)), _binary(rank)]
            names = [*PLACE_SCHEMA.names, self.carried]
            yield pa.RecordBatch.from_arrays([*columns, batch.column(self.carried)], names=names)


@dataclass(frozen=True)
class Chained:
    """Jobs in a row, without a way through Spark between them."""

    jobs: tuple[Callable[[Batches], Batches], ...]

    def __call__(self, batches: Batches) -> Batches:
        """As the last of them."""
        for job in self.jobs:
            batches = job(batches)
        return batches


@dataclass(frozen=True)
class PackRows:
    """Rows of one worker, ordered by `rank`, to blocks."""

    layout: Layout

    def __call__(self, batches: Batches) -> Batches:
        """A row for each block, or, as soon as two rows have one place, a row with `REPEATED` for an index."""
        packer, last = Packer(self.layout), b""
        for batch in batches:
            if batch.num_rows == 0:
                continue
            ranks = batch.column("rank")
            if _has_neighbours(ranks) or ranks[0].as_py() == last:
                for _ in batches:  # a worker that leaves some of its input is not used again
                    pass
                yield block_row(Block(0, "train", REPEATED, 0, b""))
                return
            last = ranks[-1].as_py()
            for start, stop in _runs(batch.column("split")):
                part = batch.slice(start, stop - start)
                worker, split = part.column("worker")[0].as_py(), part.column("split")[0].as_py()
                for block in packer.add(worker, split, _matrix(part.column("payload"), self.layout.row_bytes)):
                    yield block_row(block)
        for block in packer.finish():
            yield block_row(block)


def _binary(payloads: Bytes) -> pa.Array:
    """uint8[rows, size] as a binary column, without a copy."""
    rows, size = payloads.shape
    offsets = np.arange(0, (rows + 1) * size, size, dtype=np.int32)
    return pa.Array.from_buffers(pa.binary(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(payloads)])


def _matrix(column: pa.Array, size: int) -> Bytes:
    """A binary column whose cells all have `size` bytes as uint8[rows, size], without a copy."""
    kind = np.int64 if pa.types.is_large_binary(column.type) else np.int32
    _, offsets, values = column.buffers()
    first = np.frombuffer(offsets, kind)[column.offset]
    return np.frombuffer(values, np.uint8, len(column) * size, first).reshape(len(column), size)


def _has_neighbours(column: pa.Array) -> bool:
    """Whether a value follows on itself."""
    return bool(pc.any(pc.equal(column[1:], column[:-1])).as_py())


def _runs(column: pa.Array) -> list[tuple[int, int]]:
    """Start and stop of each stretch of equal values."""
    if len(column) == 0:
        return []
    codes = np.asarray(column.dictionary_encode().indices)
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    return list(itertools.pairwise(edges))


def block_row(block: Block) -> pa.RecordBatch:
    """A row of `BLOCK_SCHEMA`."""
    return one_row(_BLOCKS, (block.worker, block.split, block.index, block.rows, block.payload, block.digest()))


def one_row(schema: pa.Schema, values: Iterable[object]) -> pa.RecordBatch:
    """A batch of one row."""
    arrays = [pa.array([value], field.type) for value, field in zip(values, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
