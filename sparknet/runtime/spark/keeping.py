"""Frames of large rows that Spark keeps, in memory and on disk.

Spark puts the rows of a persisted frame together, up to 10,000 or 4 MiB of them, and writes what it has put together
with Java's serialization. That holds on to the last hundred objects it has written or read: 400 MiB beside all that
Spark counts, in each task that keeps or reads such a frame, of the 1 GiB that an executor has by default. Rows of a
mebibyte need not be put together; the last hundred are then a quarter of that.

What lies in memory lies there as it is. Serialized, as pyspark has it by default, each round would bring back all rows
to find those that it needs, 3 ms for each mebibyte in the place of 0.2, and an executor of 1 GiB runs out of memory
when it keeps as much.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.storagelevel import StorageLevel

from sparknet.runtime.spark.settings import rows_apart


def keep(frame: DataFrame) -> DataFrame:
    """`frame`, of rows of a mebibyte, to be kept from the first job on, each row for itself.

    Spark takes the setting along at this call, so the session has it no longer than that.
    """
    with rows_apart(frame.sparkSession):
        return frame.persist(StorageLevel.MEMORY_AND_DISK_DESER)
