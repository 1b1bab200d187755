"""Settings of a session, which may be another's, changed for as long as something of ours needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from threading import Lock
from weakref import WeakKeyDictionary

from pyspark.sql import SparkSession

from sparknet.runtime.failures import letting_go

BATCH_ROWS = "spark.sql.inMemoryColumnarStorage.batchSize"
"""How many rows of a frame Spark keeps as one."""
BATCH_BYTES = "spark.sql.execution.arrow.maxBytesPerBatch"
"""What a Python worker is handed at once."""
_HANDED_BYTES = 2 << 20


def small_batches(spark: SparkSession) -> AbstractContextManager[None]:
    """Hand Python workers two blocks at once, or a few rows of large images, not ten thousand rows or 64 MiB.

    A task begins when the first batch is there: by 8 MiB, a round waits 30 ms for it that it need not wait by two.
    """
    return changed_to(spark, BATCH_BYTES, str(_HANDED_BYTES))


@contextmanager
def changed_to(spark: SparkSession, key: str, value: str) -> Iterator[None]:
    """Have a session's setting be `value`, until the last of those that need it so at the same time is done."""
    with _lock:
        held = _HELD.setdefault(spark, {})
        if key in held:
            held[key].users += 1
        else:
            before = spark.conf.get(key, None)
            spark.conf.set(key, value)
            held[key] = _Held(before)
    try:
        yield
    finally:
        with _lock:
            held[key].users -= 1
            if held[key].users == 0:
                before = held.pop(key).before
                with letting_go():
                    if before is None:
                        spark.conf.unset(key)
                    else:
                        spark.conf.set(key, before)


@dataclass
class _Held:
    before: str | None
    users: int = 1


_HELD: WeakKeyDictionary[SparkSession, dict[str, _Held]] = WeakKeyDictionary()
_lock = Lock()
