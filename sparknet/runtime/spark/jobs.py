"""Spark jobs, each of which is waited for with an end, and called off there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from secrets import token_hex
from threading import Event, Thread
from typing import TypeVar

import pyarrow as pa
from pyspark import InheritableThread
from pyspark.sql import DataFrame, Row, SparkSession

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


def job_in_time(spark: SparkSession, seconds: float, work: Callable[[], Result]) -> Result:
    """As `in_time`, for work on a session. The jobs of work that is late are called off, and no others."""
    tag, ended = _new_tag(spark), Event()

    def tagged() -> Result:
        try:
            tag.add()  # for this thread, which ends with the work
            return work()
        finally:
            ended.set()

    try:
        return in_time(seconds, tagged, partial(InheritableThread, session=spark))
    except LateError as error:
        error.called_off = _is_called_off(tag, ended.wait)
        raise
    except KeyboardInterrupt:
        _is_called_off(tag, ended.wait)
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

    tag, threads = _new_tag(spark), list[InheritableThread]()

    def have_ended(seconds: float) -> bool:
        for thread in [each for each in threads if each.is_alive()][:1]:
            thread.join(seconds)
        return not any(each.is_alive() for each in threads)

    tag.add()
    try:
        threads += [
            InheritableThread(run, session=spark, args=(index, work), name="sparknet-side", daemon=True)
            for index, work in enumerate(works)
        ]
        for thread in threads:
            thread.start()
        for index, thread in enumerate(threads):
            thread.join()
            if index in failed:
                raise failed[index]
    except BaseException:
        _is_called_off(tag, have_ended)
        raise
    finally:
        tag.remove()
    return [found[index] for index in range(len(works))]


def _is_called_off(tag: _Tag, has_ended: Callable[[float], bool]) -> bool:
    """Call off the jobs that run; whether Spark said that it has.

    Those that work starts later, when nobody waits for it any more, are called off as they come, until the work
    `has_ended`, for which that waits so many seconds, or Spark has.
    """

    def later() -> None:
        with suppress(Exception):
            while not has_ended(_LOOK_SECONDS):
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
