"""Settings of a session, which may be another's, changed for as long as something of ours needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Lock

from pyspark.sql import SparkSession

from sparknet.runtime.failures import letting_go
from sparknet.runtime.spark.connect import session_id
from sparknet.runtime.spark.waits import CALL_SECONDS, LateError, in_time

_KEPT_ROWS = "spark.sql.inMemoryColumnarStorage.batchSize"
_HANDED_BYTES = "spark.sql.execution.arrow.maxBytesPerBatch"


def rows_apart(spark: SparkSession) -> AbstractContextManager[None]:
    """Have each row of a frame that is to be kept be kept for itself."""
    return _changed(spark, _KEPT_ROWS, "1")


def small_batches(spark: SparkSession) -> AbstractContextManager[None]:
    """Hand Python workers two blocks at once, or a few rows of large images, not ten thousand rows or 64 MiB.

    A task begins when the first batch is there: by 8 MiB, a round waits 30 ms for it that it need not wait by two.
    """
    return _changed(spark, _HANDED_BYTES, str(2 << 20))


@contextmanager
def _changed(spark: SparkSession, key: str, value: str) -> Iterator[None]:
    """Have a setting be `value`, always the same for a key, until the last of those that need it is done."""
    with _lock:
        held = _HELD.setdefault((session_id(spark), key), _Held())
    with held.lock:
        if not held.users:
            held.before = spark.conf.get(key, None)
        held.users += 1
    try:
        spark.conf.set(key, value)
        yield
    finally:
        with held.lock:
            held.users -= 1
            if not held.users:
                with letting_go(), suppress(LateError):
                    in_time(CALL_SECONDS, lambda: _put_back(spark, key, held.before))


def _put_back(spark: SparkSession, key: str, before: str | None) -> None:
    if before is None:
        spark.conf.unset(key)
    else:
        spark.conf.set(key, before)


@dataclass
class _Held:
    lock: Lock = field(default_factory=Lock)
    users: int = 0
    before: str | None = None


_HELD: dict[tuple[str, str], _Held] = {}
"""By session and key; several objects of Python may stand for one session."""
_lock = Lock()
