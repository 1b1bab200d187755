"""Spark jobs, each of which is waited for with an end, and called off there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from secrets import token_hex
from threading import Thread
from typing import Any, TypeVar

import pyarrow as pa
from pyspark import inheritable_thread_target
from pyspark.sql import DataFrame, Row, SparkSession

from sparknet.runtime.failures import letting_go
from sparknet.runtime.problems import LATE, problem
from sparknet.runtime.spark.connect import is_connect_session
from sparknet.runtime.spark.waits import CALL_SECONDS, DEFAULT_WAITS, LateError, in_time

Result = TypeVar("Result")

_CALLED_OFF = "the job is called off; what Spark had stored for it may still lie there"
_GOES_ON = "the job could not be called off, and may go on"

_LOOK_SECONDS = 1.0
"""How long a job may run that work starts when nobody waits for it any more."""


@dataclass(frozen=True)
class _Tag:
    """A tag of jobs beside those of the caller, borne by all that this thread, and those it starts, has Spark do."""

    add: Callable[[], object]
    remove: Callable[[], object]
    call_off: Callable[[], object]
    """Ends the jobs that bear it, and no others; those that run, not those that work starts later."""


def _new_tag(spark: SparkSession) -> _Tag:
    """One of the session on Spark Connect, of the context else, since a session's do not reach Python's jobs there."""
    tag = f"sparknet-{token_hex(8)}"
    if is_connect_session(spark):
        return _Tag(partial(spark.addTag, tag), partial(spark.removeTag, tag), partial(spark.interruptTag, tag))
    context = spark.sparkContext
    add, remove = partial(context.addJobTag, tag), partial(context.removeJobTag, tag)
    return _Tag(add, remove, partial(context.cancelJobsWithTag, tag))


def _inheriting(spark: SparkSession, work: Callable[[], Result]) -> Callable[[], Result]:
    """Work that bears the tags and properties of this thread on another one, and raises where Spark is gone by then.

    They are this thread's, so reading them cannot be waited for on another.
    """
    inheriting: Callable[[], Result] = inheritable_thread_target(spark)(work)
    return inheriting


def job_in_time(spark: SparkSession, seconds: float, work: Callable[[], Result]) -> Result:
    """As `in_time`, for work on a session. The jobs of work that is late are called off, and no others."""
    tag, threads = _new_tag(spark), list[Thread]()

    def thread(**options: Any) -> Thread:
        threads.append(Thread(**options))
        return threads[0]

    def tagged() -> Result:
        tag.add()  # for this thread, which ends with the work
        return work()

    try:
        return in_time(seconds, _inheriting(spark, tagged), thread)
    except LateError as error:
        error.called_off = _is_called_off(tag, threads)
        raise
    except KeyboardInterrupt:
        _is_called_off(tag, threads)
        raise


def side_by_side(spark: SparkSession, works: Sequence[Callable[[], Result]]) -> list[Result]:
    """What each gives. Works end by themselves, in time, as in `waited`.

    Raises the error of the first that has one, as soon as those before it are done; jobs of others are called off then.
    """
    if len(works) == 1:
        return [works[0]()]
    found: dict[int, Result] = {}
    failed: dict[int, BaseException] = {}

    def run(index: int, work: Callable[[], Result]) -> None:
        try:
            found[index] = work()
        except BaseException as error:  # raised below
            failed[index] = error

    tag, threads = _new_tag(spark), list[Thread]()
    tag.add()
    try:
        threads += [
            Thread(target=run, args=(index, _inheriting(spark, work)), name="sparknet-side", daemon=True)
            for index, work in enumerate(works)
        ]
        for thread in threads:
            thread.start()
        for index, thread in enumerate(threads):
            thread.join()
            if index in failed:
                raise failed[index]
    except BaseException:
        _is_called_off(tag, threads)
        raise
    finally:
        with letting_go():
            tag.remove()
    return [found[index] for index in range(len(works))]


def _is_called_off(tag: _Tag, threads: Sequence[Thread]) -> bool:
    """Call off the jobs that run; whether Spark said that it has.

    Those that the threads start later, when nobody waits for them any more, are called off as they come, until the
    threads or Spark have ended.
    """

    def later() -> None:
        with suppress(Exception):
            while any(thread.is_alive() for thread in threads):
                time.sleep(_LOOK_SECONDS)
                tag.call_off()

    try:
        in_time(CALL_SECONDS, tag.call_off)
    except Exception:
        return False
    finally:
        Thread(target=later, name="sparknet-call-off", daemon=True).start()
    return True


def waited(spark: SparkSession, seconds: float, doing: str, work: Callable[[], Result]) -> Result:
    """As `job_in_time`, ending in a diagnostic that says what was being done."""
    try:
        return job_in_time(spark, seconds, work)
    except LateError as error:
        raise problem(
            LATE,
            f"{doing}: no answer from Spark in {seconds:,.0f} s",
            notes=[_CALLED_OFF if error.called_off else _GOES_ON],
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
