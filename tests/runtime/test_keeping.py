"""Frames of large rows are kept row by row, and the session is left as it was."""

from __future__ import annotations

import pytest
from pyspark.sql import DataFrame, SparkSession

from sparknet.runtime.spark.keeping import keep

SETTING = "spark.sql.inMemoryColumnarStorage.batchSize"


def batches_of(frame: DataFrame) -> int:
    """What Spark has put together of a kept frame, in pieces."""
    relation = frame._jdf.queryExecution().withCachedData()
    return int(relation.cacheBuilder().cachedColumnBuffers().count())


@pytest.mark.parametrize("before", [None, "77"])
def test_no_rows_of_a_kept_frame_are_put_together(spark: SparkSession, before: str | None) -> None:
    if before is not None:
        spark.conf.set(SETTING, before)
    try:
        kept = keep(spark.range(100, numPartitions=2))
        assert spark.conf.get(SETTING, None) == before
        assert kept.count() == 100
        assert batches_of(kept) == 100
        assert kept.storageLevel.deserialized, "a round goes by the rows that it does not need"
        assert kept.storageLevel.useDisk
        kept.unpersist()
    finally:
        spark.conf.unset(SETTING)
