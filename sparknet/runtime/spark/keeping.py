"""Frames of large rows that Spark keeps, in memory and on disk.

Spark puts the rows of a persisted frame together, up to 10,000 or 4 MiB of them, and writes what it has put together
with Java's serialization. That holds on to the last hundred objects it has written or read: 400 MiB beside all that
Spark counts, in each task that keeps or reads such a frame, of the 1 GiB that an executor has by default. Rows of a
mebibyte need not be put together; the last hundred are then a quarter of that.
"""

from __future__ import annotations

from threading import Lock

from pyspark.sql import DataFrame
from pyspark.storagelevel import StorageLevel

from sparknet.runtime.failures import letting_go

_BATCH_ROWS = "spark.sql.inMemoryColumnarStorage.batchSize"
_lock = Lock()


def keep(frame: DataFrame) -> DataFrame:
    """`frame`, of rows of a mebibyte, to be kept from the first job on, each row for itself.

    Spark takes the setting along at this call, so the session has it no longer than that.
    """
    conf = frame.sparkSession.conf
    with _lock:  # trials of a tuning share a session
        before = conf.get(_BATCH_ROWS, None)
        conf.set(_BATCH_ROWS, 1)
        try:
            return frame.persist(StorageLevel.MEMORY_AND_DISK)
        finally:
            with letting_go():
                if before is None:
                    conf.unset(_BATCH_ROWS)
                else:
                    conf.set(_BATCH_ROWS, before)
