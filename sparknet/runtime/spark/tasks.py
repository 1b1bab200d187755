"""What runs in Spark's Python workers: callables for `mapInArrow`, each with the plain data that it needs.

They are importable by name, so Spark sends their fields and no code. Column names and types of what they give are in
the schemas beside them.
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.pandas.types import from_arrow_schema

from sparknet.compiler.sections import SPLITS, SplitName
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
from sparknet.runtime.encoding.learning import learners
from sparknet.runtime.encoding.moments import Axes, moments_of
from sparknet.runtime.encoding.profile import profile_batches
from sparknet.runtime.encoding.terms import terms_of
from sparknet.runtime.engines.base import Engine, Sums
from sparknet.runtime.evaluation.counting import ErrorTask, count_errors
from sparknet.runtime.problems import changed
from sparknet.runtime.training.balance import count_classes
from sparknet.runtime.training.exchange import Buffer, Segment
from sparknet.runtime.training.rounds import (
    EvaluationTask,
    Report,
    RoundTask,
    Shard,
    evaluate,
    send,
    train_round,
)

Batches = Iterator[pa.RecordBatch]

# ----- encoding -----

PROFILE_SCHEMA = "partition int, profile string"
ROW_SCHEMA = "digest binary, payload binary"
TERM_SCHEMA = "digest binary, terms array<struct<port: int, term: string>>"
BLOCK_SCHEMA = "worker int, split string, index int, rows int, payload binary, digest binary"

BlockDigests = Mapping[SplitName, Mapping[tuple[int, int], bytes]]
"""Digests of the blocks of some splits, by worker and index, as the encoding found them."""

PLACE_SCHEMA = from_arrow_schema(pa.schema([("worker", pa.int32()), ("split", pa.string()), ("rank", pa.binary())]))
_TERMS = pa.list_(pa.struct([("port", pa.int32()), ("term", pa.string())]))
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

_CLASSES = pa.schema(
    [
        ("worker", pa.int32()),
        ("index", pa.int32()),
        ("kinds", pa.list_(pa.int64())),
        ("counts", pa.list_(pa.int64())),
    ]
)


@dataclass(frozen=True)
class ProfileRows:
    """The profile of each partition, as JSON."""

    bound: tuple[BoundPort, ...]
    decode: bool

    def __call__(self, batches: Batches) -> Batches:
        """One row: the partition's number and its profile."""
        from pyspark import TaskContext

        context = TaskContext.get()
        partition = context.partitionId() if context else 0
        profile = profile_batches(batches, self.bound, self.decode).model_dump_json()
        yield pa.RecordBatch.from_pydict({"partition": pa.array([partition], pa.int32()), "profile": [profile]})


@dataclass(frozen=True)
class EncodeRows:
    """Rows to payloads and their digests."""

    bound: tuple[BoundPort, ...]
    layout: Layout

    def __call__(self, batches: Batches) -> Batches:
        """A row for each row, in parts whose payloads stay well below Arrow's 2 GiB."""
        most = max(1, (1 << 28) // self.layout.row_bytes)
        for batch in bounded(batches, self.bound):
            for start in range(0, batch.num_rows, most):
                part = batch.slice(start, most)
                payloads = encode_batch(part, self.bound, self.layout)
                columns = [pa.array(digests(payloads, self.layout, part, self.bound), pa.binary()), _binary(payloads)]
                yield pa.RecordBatch.from_arrays(columns, names=["digest", "payload"])


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
                copies = copies + 1 if digest == last else 1
                last = digest
                numbers.append(copies)
            keys = row_keys(found, numbers)
            split, worker = place(keys, limits, self.workers)
            rank = np.concatenate([order[split][:, np.newaxis], keys], axis=1)
            columns = [pa.array(worker, pa.int32()), splits.take(pa.array(split)), _binary(rank)]
            names = [*PLACE_SCHEMA.names, self.carried]
            yield pa.RecordBatch.from_arrays([*columns, batch.column(self.carried)], names=names)


@dataclass(frozen=True)
class PackRows:
    """Rows of one worker, ordered by split and key, to blocks."""

    layout: Layout

    def __call__(self, batches: Batches) -> Batches:
        """A row for each block."""
        packer = Packer(self.layout)
        for batch in batches:
            for start, stop in _runs(batch.column("split")):
                part = batch.slice(start, stop - start)
                worker, split = part.column("worker")[0].as_py(), part.column("split")[0].as_py()
                for block in packer.add(worker, split, _matrix(part.column("payload"), self.layout.row_bytes)):
                    yield _block_row(block)
        for block in packer.finish():
            yield _block_row(block)


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


def _runs(column: pa.Array) -> list[tuple[int, int]]:
    """Start and stop of each stretch of equal values."""
    if len(column) == 0:
        return []
    codes = np.asarray(column.dictionary_encode().indices)
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    return list(itertools.pairwise(edges))


def _block_row(block: Block) -> pa.RecordBatch:
    values = (block.worker, block.split, block.index, block.rows, block.payload, block.digest())
    arrays = [pa.array([value], field.type) for value, field in zip(values, _BLOCKS, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=_BLOCKS)


def read_blocks(batches: Batches, digests: BlockDigests) -> Iterator[Block]:
    """The blocks of some rows of `BLOCK_SCHEMA`; payloads are views, not copies.

    Spark computes a block that it lost anew, digest and all, from a source that may hold other rows by now; raises
    SparkNetError where it does.
    """
    for batch in batches:
        columns = [batch.column(name).to_pylist() for name in ("worker", "split", "index", "rows", "digest")]
        payloads = batch.column("payload")
        for i, (worker, split, index, rows, digest) in enumerate(zip(*columns, strict=True)):
            if digests[split].get((worker, index)) != digest:
                raise changed("the data")
            yield Block(worker, split, index, rows, memoryview(payloads[i].as_buffer()))


def by_place(batches: Batches, digests: BlockDigests) -> Iterator[tuple[SplitName, int, Iterator[Block]]]:
    """What a partition holds: a split, a worker and their blocks; each is to be read before the next."""
    for (split, worker), blocks in groupby(read_blocks(batches, digests), lambda block: (block.split, block.worker)):
        yield split, worker, blocks


MOMENT_SCHEMA = "port int, moments string"


@dataclass(frozen=True)
class MomentBlocks:
    """The moments of the blocks that the partition holds, for some of the ports, as JSON."""

    layout: Layout
    axes: Axes
    digests: BlockDigests

    def __call__(self, batches: Batches) -> Batches:
        """One row for each port, or none for a partition without blocks."""
        found = moments_of(read_blocks(batches, self.digests), self.layout, self.axes)
        if found:
            texts = [moments.model_dump_json() for moments in found.values()]
            yield pa.RecordBatch.from_pydict({"port": pa.array(found, pa.int32()), "moments": texts})


CLASS_SCHEMA = "worker int, index int, kinds array<bigint>, counts array<bigint>"


@dataclass(frozen=True)
class CountClasses:
    """The classes of the blocks that the partition holds, by a field of the layout."""

    layout: Layout
    field: int
    digests: BlockDigests

    def __call__(self, batches: Batches) -> Batches:
        """A row for each block."""
        for block in read_blocks(batches, self.digests):
            for index, kinds, counts in count_classes([block], self.layout, self.field):
                row = {"worker": block.worker, "index": index, "kinds": kinds.tolist(), "counts": counts.tolist()}
                yield pa.RecordBatch.from_pylist([row], _CLASSES)


# ----- rounds -----

_RESULT = pa.schema(
    [
        ("worker", pa.int32()),
        ("segment", pa.int32()),
        ("payload", pa.binary()),
        ("rows", pa.int64()),
        ("counted", pa.int64()),
        ("loss", pa.float64()),
        ("metrics", pa.list_(pa.float64())),
        ("steps", pa.int32()),
        ("seconds", pa.float64()),
        ("broken", pa.int32()),
        ("split", pa.string()),
    ]
)
"""A row is a segment of a worker's vectors, or its report, which has no segment."""
RESULT_SCHEMA = from_arrow_schema(_RESULT)
"""Not as text, which the driver's JVM would be asked to read for every job."""


@dataclass(frozen=True)
class TrainRound:
    """A round on the shard whose blocks the partition holds, and what is scored beside."""

    task: RoundTask
    segments: tuple[Segment, ...]
    shards: Sequence[Shard]
    engine: Engine
    digests: BlockDigests

    def __call__(self, batches: Batches) -> Batches:
        """A report and the segments, nothing for a partition without training rows; a report of each evaluation."""
        for split, worker, blocks in by_place(batches, self.digests):
            if split == "train":
                shard = next(shard for shard in self.shards if shard.worker == worker)
                result = train_round(self.engine, self.task, shard, blocks)
                yield _report_row(result.report)
                for number, payload in enumerate(send(self.task, self.segments, result)):
                    yield segment_row(worker, number, payload)
            elif self.task.evaluation is not None:
                yield score(self.engine, self.task.evaluation, worker, blocks)
            freeze_loaded()


@dataclass(frozen=True)
class EvaluateRound:
    """An evaluation on the blocks of a split that the partition holds."""

    task: EvaluationTask
    engine: Engine
    digests: BlockDigests

    def __call__(self, batches: Batches) -> Batches:
        """A report, or nothing for a partition without rows of the split."""
        for _, worker, blocks in by_place(batches, self.digests):
            yield score(self.engine, self.task, worker, blocks)
            freeze_loaded()


def score(engine: Engine, task: EvaluationTask, worker: int, blocks: Iterator[Block]) -> pa.RecordBatch:
    """The report of an evaluation."""
    found = evaluate(engine, task, worker, _in_order(blocks))
    return _report_row(Report(worker, 0, found.sums, 0, found.seconds, split=task.split))


ERROR_SCHEMA = "worker int, errors string"


@dataclass(frozen=True)
class CountErrors:
    """The errors of a net on the blocks of a split that the partition holds, as JSON."""

    task: ErrorTask
    engine: Engine
    digests: BlockDigests

    def __call__(self, batches: Batches) -> Batches:
        """One row, or none for a partition without rows of the split."""
        for _, worker, blocks in by_place(batches, self.digests):
            found = count_errors(self.engine, self.task, _in_order(blocks))
            columns = {"worker": pa.array([worker], pa.int32()), "errors": [found.model_dump_json()]}
            yield pa.RecordBatch.from_pydict(columns)
            freeze_loaded()


def freeze_loaded() -> None:
    """Spare the next tasks the sorting of garbage that is none.

    pyspark's workers run a full `gc.collect()` after every task, which walks all imported modules and took longer than
    a small round (0.1 to 0.2 s). Once a worker has loaded what it needs, that much is set aside for good.
    """
    if not _settled:  # to ask `gc` would have it count the objects, one by one
        _settled.append(True)
        gc.collect()
        gc.freeze()


_settled: list[bool] = []


def _in_order(blocks: Iterator[Block]) -> Iterator[Block]:
    """The blocks, which Spark keeps in order; sums would differ in their last bits if it did not."""
    for expected, block in enumerate(blocks):
        if block.index != expected:
            raise ValueError(f"block {block.index} of worker {block.worker} came where block {expected} belongs")
        yield block


def _report_row(report: Report) -> pa.RecordBatch:
    sums = report.sums
    told = (report.rows, sums.rows, sums.loss, sums.metrics, report.steps, report.seconds, report.broken, report.split)
    return _row(report.worker, None, None, *told)


def segment_row(worker: int, segment: int, payload: Buffer) -> pa.RecordBatch:
    """A row of `RESULT_SCHEMA`."""
    return _row(worker, segment, payload, *[None] * 8)


def _row(*values: object) -> pa.RecordBatch:
    arrays = [pa.array([value], field.type) for value, field in zip(values, _RESULT, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=_RESULT)


def report_rows(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The reports among rows of `RESULT_SCHEMA`."""
    return batch.filter(pc.is_null(batch.column("segment")))


def read_reports(table: pa.Table) -> list[Report]:
    """The reports among rows of `RESULT_SCHEMA`, in worker order."""
    reports = []
    for batch in table.to_batches():
        for row in report_rows(batch).drop_columns(["segment", "payload"]).to_pylist():
            sums = Sums(row["counted"], row["loss"], tuple(row["metrics"]))
            told = (row[name] for name in ("steps", "seconds", "broken", "split"))
            reports.append(Report(row["worker"], row["rows"], sums, *told))
    return sorted(reports, key=lambda report: report.worker)


def read_segments(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, int, memoryview]]:
    """The worker, number and payload of each segment among rows of `RESULT_SCHEMA`, without a copy of the payload."""
    for batch in batches:
        workers, segments = batch.column("worker").to_pylist(), batch.column("segment").to_pylist()
        for row, (worker, segment) in enumerate(zip(workers, segments, strict=True)):
            if segment is not None:
                yield worker, segment, memoryview(batch.column("payload")[row].as_buffer())
