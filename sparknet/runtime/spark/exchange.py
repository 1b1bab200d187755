"""How vectors travel on Spark: up straight to the driver or by slices through the shuffle, down as a broadcast.

By slices, every worker's vectors are cut, a shuffle brings the same slice of all workers together, and a task averages
it there, as the driver would. The driver then takes in one vector, whatever the number of workers, piece by piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from sparknet.runtime.engines.base import Floats
from sparknet.runtime.failures import letting_go
from sparknet.runtime.spark.keeping import keep
from sparknet.runtime.spark.messages import check_message
from sparknet.runtime.spark.preparing import Batches
from sparknet.runtime.spark.sizes import size_of
from sparknet.runtime.spark.tasks import RESULT_SCHEMA, read_reports, read_segments, report_rows, segment_row
from sparknet.runtime.training.exchange import BLOCK, Segment, mean_of, packed_bytes, slices
from sparknet.runtime.training.rounds import Report, RoundResult, RoundTask, Shard, receive, round_result

Run = Callable[[DataFrame], pa.Table]
"""Runs a job and gives its rows."""

SLICE = 4 * BLOCK
"""Numbers that are averaged at a time: 1 MiB of float32."""
DIRECT_BYTES = 128 << 20
"""So much from all workers together goes straight to the driver, which is quicker up to there (`bench/route.py`)."""
PIECE_BYTES = 64 << 20
"""Of averages, the driver takes in so much at a time."""
INLINE_BYTES = 1 << 19
"""So much travels inside of a job. pyspark makes a broadcast of more than twice that, and never removes it."""

_NO_LIMIT = 1 << 62


@dataclass(frozen=True)
class Route:
    """How the vectors of all workers come to the driver: straight where there are no `segments`, else averaged."""

    segments: tuple[Segment, ...] = ()
    piece_bytes: int = PIECE_BYTES


def choose_route(most: int, task: RoundTask, shards: Sequence[Shard]) -> Route:
    """Straight to the driver where that is quicker, and well below the `most` bytes that it takes in of a job."""
    if packed_bytes(task.segments) * len(shards) <= min(DIRECT_BYTES, most // 2):
        return Route()
    return Route(slices(task.segments, SLICE), min(PIECE_BYTES, most // 4))


def max_result_bytes(spark: SparkSession) -> int:
    """`spark.driver.maxResultSize` of a session, of which 0 is no limit."""
    return size_of(str(spark.conf.get("spark.driver.maxResultSize", "1g")), unit=1) or _NO_LIMIT


# ----- up -----


def collect_round(results: DataFrame, route: Route, task: RoundTask, shards: Sequence[Shard], run: Run) -> RoundResult:
    """The round of all workers, from rows of `RESULT_SCHEMA` with their reports and the segments of the route."""
    if route.segments:
        return _collect_averages(results, route, task, shards, run)
    found = run(results)
    sent: dict[int, list[memoryview]] = {}
    for worker, _, payload in sorted(read_segments(found.to_batches()), key=lambda each: each[:2]):
        sent.setdefault(worker, []).append(payload)
    return receive(task, shards, read_reports(found), sent)


def _collect_averages(
    results: DataFrame, route: Route, task: RoundTask, shards: Sequence[Shard], run: Run
) -> RoundResult:
    segments = route.segments
    together = results.repartitionById(min(len(segments), 2 * len(shards)), "segment")
    average = AverageSegments(segments, task.weights(shards))
    means = together.sortWithinPartitions("segment", "worker").mapInArrow(average, RESULT_SCHEMA)
    per_piece = max(1, route.piece_bytes // (4 * SLICE))
    if len(segments) <= per_piece:
        found = run(means)
        return round_result(task, read_reports(found), segments, _read_means(found, segments))
    means = keep(means)  # or else each piece would train anew
    try:
        reports = read_reports(run(means.filter(sf.col("segment").isNull())))
        return round_result(task, reports, segments, _pieces(means, segments, per_piece, reports, run))
    finally:
        with letting_go():
            means.unpersist()


def _pieces(
    means: DataFrame, segments: Sequence[Segment], per_piece: int, reports: Sequence[Report], run: Run
) -> Iterator[tuple[Segment, Floats]]:
    if any(report.broken is not None for report in reports):
        return
    for first in range(0, len(segments), per_piece):
        piece = means.filter(sf.col("segment").between(first, first + per_piece - 1))
        yield from _read_means(run(piece), segments)


def _read_means(table: pa.Table, segments: Sequence[Segment]) -> Iterator[tuple[Segment, Floats]]:
    for _, number, payload in read_segments(table.to_batches()):
        yield segments[number], np.frombuffer(payload, "<f4")


@dataclass(frozen=True)
class AverageSegments:
    """The means of the segments that the partition holds, which come in order and, of each, worker by worker."""

    segments: tuple[Segment, ...]
    weights: Mapping[int, float]

    def __call__(self, batches: Batches) -> Batches:
        """A row for each segment, behind the reports as they are."""
        reports: list[pa.RecordBatch] = []

        def noted() -> Batches:
            for batch in batches:
                reports.append(report_rows(batch))
                yield batch

        for number, sent in groupby(read_segments(noted()), key=lambda each: each[1]):
            mean = mean_of(self.segments[number], ((worker, data) for worker, _, data in sent), self.weights)
            yield segment_row(-1, number, np.ascontiguousarray(mean).data.cast("B"))
        yield from reports


# ----- down -----


@dataclass(frozen=True)
class Broadcasted:
    """A job that every executor fetches once."""

    job: Broadcast[Callable[[Batches], Batches]]

    def __call__(self, batches: Batches) -> Batches:
        """As the job."""
        return self.job.value(batches)


@contextmanager
def handed_down(spark: SparkSession, job: Callable[[Batches], Batches], size: int) -> Iterator[Callable[..., Any]]:
    """What `mapInArrow` takes for `job`, which holds about `size` bytes, for as long as it is needed.

    pyspark makes broadcasts of large functions by itself, and keeps each of them on disks and in memory for as long as
    the session lives: a few vectors a round. One that is ours is removed everywhere at the end. Spark Connect has no
    broadcasts, and makes none: there the job travels in the query. Raises SparkNetError where that is too large for it.
    """
    if size <= INLINE_BYTES:
        yield job
        return
    check_message(spark, size)
    context = getattr(spark, "sparkContext", None)
    if context is None:
        yield job
        return
    broadcast = context.broadcast(job)
    try:
        yield Broadcasted(broadcast)
    finally:
        with letting_go():
            broadcast.destroy()
