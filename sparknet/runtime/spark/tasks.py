"""What runs on blocks in Spark's Python workers: callables for `mapInArrow`, each with the plain data that it needs.

They are importable by name, so Spark sends their fields and no code. Column names and types of what they give are in
the schemas beside them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.pandas.types import from_arrow_schema

from sparknet.compiler.sections import SplitName
from sparknet.runtime.encoding.encode import Block, Layout
from sparknet.runtime.encoding.moments import Axes, moments_of
from sparknet.runtime.engines.base import Engine, Sums
from sparknet.runtime.evaluation.counting import ErrorTask, count_errors
from sparknet.runtime.problems import changed
from sparknet.runtime.spark.digests import BlockDigests, is_known
from sparknet.runtime.spark.preparing import Batches, one_row
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

# ----- blocks -----


def read_blocks(batches: Batches, digests: BlockDigests) -> Iterator[Block]:
    """The blocks of some rows of `BLOCK_SCHEMA`; payloads are views, not copies.

    Spark computes a block that it lost anew, digest and all, from a source that may hold other rows by now; raises
    SparkNetError where it does.
    """
    for batch in batches:
        columns = [batch.column(name).to_pylist() for name in ("worker", "split", "index", "rows", "digest")]
        payloads = batch.column("payload")
        for i, (worker, split, index, rows, digest) in enumerate(zip(*columns, strict=True)):
            if not is_known(digests, split, worker, index, digest):
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


_CLASSES = pa.schema(
    [
        ("worker", pa.int32()),
        ("index", pa.int32()),
        ("kinds", pa.list_(pa.int64())),
        ("counts", pa.list_(pa.int64())),
    ]
)
CLASS_SCHEMA = from_arrow_schema(_CLASSES)


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
        ("broken", pa.int64()),
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
    return one_row(_RESULT, values)


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
