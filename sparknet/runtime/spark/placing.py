"""Plans that bring rows of the sources to their places, of a worker, by split and key, in blocks; and find these."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as sf
from pyspark.sql.types import StructField, StructType

from sparknet.runtime.encoding.encode import Layout, Shares
from sparknet.runtime.spark.preparing import (
    BLOCK_SCHEMA,
    PLACE_SCHEMA,
    ROW_SCHEMA,
    Batches,
    Chained,
    PackRows,
    PlaceRows,
)


@dataclass(frozen=True)
class Part:
    """What is known of the rows of a source, and the job that makes rows of `ROW_SCHEMA` of it."""

    known: DataFrame
    job: Callable[[Batches], Batches]
    shares: Shares
    distinct: bool
    """Whether all rows seem to be different. They find their places as they are read then; where not, equal rows meet
    first, which takes a shuffle more, of all rows."""

    def placed(self, workers: int) -> DataFrame:
        """The payloads with their places, of `PLACE_SCHEMA` and `payload`."""
        if self.distinct:
            placing = Chained((self.job, PlaceRows(self.shares, workers, "payload", distinct=True)))
            return self.known.mapInArrow(placing, _placed_schema(ROW_SCHEMA["payload"]))
        return place_rows(self.known.mapInArrow(self.job, ROW_SCHEMA), self.shares, workers, "payload")


def place_rows(rows: DataFrame, shares: Shares, workers: int, carried: str) -> DataFrame:
    """Each row's place, and the column `carried`; rows of one digest meet, so that their copies can be told apart."""
    together = rows.repartition("digest").sortWithinPartitions("digest")
    return together.mapInArrow(PlaceRows(shares, workers, carried), _placed_schema(rows.schema[carried]))


def _placed_schema(carried: StructField) -> StructType:
    return StructType([*PLACE_SCHEMA, carried])


def pack_rows(parts: Sequence[Part], layout: Layout, workers: int) -> DataFrame:
    """The blocks, of `BLOCK_SCHEMA`, a partition a worker; or one `REPEATED` where not all `distinct` rows are so."""
    rows = reduce(DataFrame.unionAll, [part.placed(workers) for part in parts])
    by_worker = rows.repartitionById(workers, "worker").sortWithinPartitions("rank")
    return by_worker.mapInArrow(PackRows(layout), BLOCK_SCHEMA)


def is_among(needed: Collection[tuple[int, int]]) -> Column:
    """Whether a row of `BLOCK_SCHEMA` is one of some blocks, given by worker and index.

    The plan holds a byte for each block of the workers up to the last needed one, not a literal for each of those. What
    is no place of it is not looked up: a later worker times an index could be more than 32 bits hold.
    """
    if not needed:
        return sf.lit(False)
    tall, wide = (1 + max(places) for places in zip(*needed, strict=True))
    marks = bytearray(tall * wide)
    for worker, index in needed:
        marks[worker * wide + index] = 1
    of, at = sf.col("worker"), sf.col("index")
    marked = sf.substring(sf.lit(bytes(marks)), of * wide + at + 1, sf.lit(1)) == sf.lit(b"\1")
    return sf.when((of < tall) & (at < wide), marked).otherwise(sf.lit(False))
