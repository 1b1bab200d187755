"""Spark jobs, each of which is waited for with an end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import pyarrow as pa
from pyspark import InheritableThread
from pyspark.sql import DataFrame, Row, SparkSession

from sparknet.runtime.problems import LATE, problem
from sparknet.runtime.spark.waits import DEFAULT_WAITS, LateError, in_time

Result = TypeVar("Result")


def job_in_time(spark: SparkSession, seconds: float, work: Callable[[], Result]) -> Result:
    """As `in_time`, for work on a session.

    A job that is late is left to itself: tags, which would let us call it off, do not reach Python's jobs in Spark 4.3
    (`interruptTag` finds none), and `interruptAll` would hit the caller's.
    """
    return in_time(seconds, work, partial(InheritableThread, session=spark))


def waited(spark: SparkSession, seconds: float, doing: str, work: Callable[[], Result]) -> Result:
    """As `job_in_time`, ending in a diagnostic that says what was being done."""
    try:
        return job_in_time(spark, seconds, work)
    except LateError as error:
        raise problem(
            LATE,
            f"{doing}: no answer from Spark in {seconds:,.0f} s",
            helps=[
                "see Spark's log: are there executors, and free task slots?",
                "if the job needs longer, raise `--job-timeout`, or `job_timeout=` in Python",
            ],
        ) from error


def few_rows(frame: DataFrame, doing: str) -> list[Row]:
    """All rows of a frame that has but a few, waited for where nobody has said for how long."""
    return waited(frame.sparkSession, DEFAULT_WAITS.job, doing, frame.collect)


def rows_of(frame: DataFrame, seconds: float, doing: str) -> pa.Table:
    """The rows of a frame, waited for."""
    return waited(frame.sparkSession, seconds, doing, frame.toArrow)
