"""Waits have an end, and what comes behind it is undone or called off."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Timer

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from sparknet.grammar import SparkNetError
from sparknet.runtime.spark import session
from sparknet.runtime.spark.jobs import job_in_time, side_by_side, waited
from sparknet.runtime.spark.session import _LEFT, _await_given_up, _started
from sparknet.runtime.spark.waits import LateError, in_time
from tests.runtime.conftest import only

DEADLINE = 120.0


def until(holds: Callable[[], bool]) -> bool:
    """Whether something holds before the deadline."""
    end = time.monotonic() + DEADLINE
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


def test_what_work_raises_comes_to_who_waits() -> None:
    with pytest.raises(SystemExit, match="3"):
        in_time(DEADLINE, lambda: sys.exit(3))
    with pytest.raises(KeyError):
        in_time(DEADLINE, lambda: {}["x"])


def test_what_comes_too_late_is_undone() -> None:
    go, undone = Event(), list[int]()

    def work() -> int:
        go.wait(DEADLINE)
        return 7

    with pytest.raises(LateError):
        in_time(0.01, work, undo=undone.append)
    assert undone == []
    go.set()
    assert until(lambda: undone == [7])
    assert in_time(DEADLINE, work, undo=undone.append) == 7
    assert undone == [7]


def test_what_comes_behind_ctrl_c_is_undone() -> None:
    go, undone = Event(), list[int]()

    def work() -> int:
        os.kill(os.getpid(), signal.SIGINT)
        go.wait(DEADLINE)
        return 7

    with pytest.raises(KeyboardInterrupt):
        in_time(DEADLINE, work, undo=undone.append)
    go.set()
    assert until(lambda: undone == [7])


@dataclass
class Late:
    """A cluster that takes an application only when nobody waits for it any more."""

    interrupts: bool = False
    go: Event = field(default_factory=Event)
    stopped: Event = field(default_factory=Event)

    def getOrCreate(self) -> Late:  # noqa: N802
        if self.interrupts:
            os.kill(os.getpid(), signal.SIGINT)
        self.go.wait(DEADLINE)
        return self

    def stop(self) -> None:
        time.sleep(0.2)
        self.stopped.set()


def test_a_session_that_comes_too_late_is_stopped_before_the_next_begins() -> None:
    late = Late()
    with pytest.raises(SparkNetError) as error:
        _started(late, "yarn", 0.01)  # type: ignore[arg-type]
    assert only(error) == "R0064 Spark has not started on `yarn` in 0 s"
    assert not late.stopped.is_set()
    late.go.set()
    _await_given_up()
    assert late.stopped.is_set()
    assert not _LEFT


def test_a_session_that_comes_behind_ctrl_c_is_stopped_before_the_next_begins() -> None:
    late = Late(interrupts=True)
    with pytest.raises(KeyboardInterrupt):
        _started(late, "local[2]", DEADLINE)  # type: ignore[arg-type]
    Timer(0.2, late.go.set).start()
    _await_given_up()
    assert late.stopped.is_set()


def test_the_next_start_waits_for_none_that_somebody_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_GIVEN_UP_SECONDS", 0.05)
    slow, given_up = Late(), Late()
    with ThreadPoolExecutor() as pool:
        waited_for = pool.submit(_started, slow, "yarn", DEADLINE)  # type: ignore[arg-type]
        _await_given_up()
        assert not _LEFT
        with pytest.raises(SparkNetError):
            _started(given_up, "yarn", 0.01)  # type: ignore[arg-type]
        _await_given_up()
        assert len(_LEFT) == 1, "it is asked for again by the next"
        slow.go.set()
        assert waited_for.result(DEADLINE) is slow
    given_up.go.set()
    assert given_up.stopped.wait(DEADLINE)
    assert until(lambda: not (_await_given_up() or _LEFT))
    assert not slow.stopped.is_set()


def held_up(go: Path) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A job that hangs until a file is there."""

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            while not go.exists():
                time.sleep(0.02)
            yield batch

    return work


def test_a_job_that_is_late_is_called_off_and_no_other(spark: SparkSession, tmp_path: Path) -> None:
    """Both slots hang; the caller's job, which waits for one, ends as soon as ours is off."""
    tracker = spark.sparkContext.statusTracker()
    ours = spark.range(0, 2, numPartitions=2).mapInArrow(held_up(tmp_path / "never"), "id long")
    theirs = spark.range(0, 1, numPartitions=1).mapInArrow(held_up(tmp_path / "go"), "id long")
    with ThreadPoolExecutor(1) as other:
        count = other.submit(theirs.count)
        assert until(lambda: len(tracker.getActiveJobsIds()) == 1)
        with pytest.raises(SparkNetError) as error:
            waited(spark, 2.0, "counting", ours.toArrow)
        assert only(error) == "R0032 counting: no answer from Spark in 2 s"
        assert error.value.diagnostics[0].notes[0].startswith("the job is called off")
        assert until(lambda: len(tracker.getActiveJobsIds()) == 1)
        (tmp_path / "go").touch()
        assert count.result(DEADLINE) == 1
    assert job_in_time(spark, DEADLINE, spark.range(0, 8, numPartitions=2).count) == 8


def test_a_job_that_late_work_starts_when_nobody_waits_is_called_off(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.range(0, 1, numPartitions=1).mapInArrow(held_up(tmp_path / "never"), "id long")
    go, failed = Event(), list[Exception]()

    def work() -> None:
        go.wait(DEADLINE)
        try:
            frame.toArrow()
        except Exception as error:
            failed.append(error)

    with pytest.raises(SparkNetError):
        waited(spark, 0.1, "counting", work)
    go.set()
    assert until(lambda: len(failed) == 1)
    assert "cancelled" in str(failed[0])
    assert until(lambda: not spark.sparkContext.statusTracker().getActiveJobsIds())


def test_a_job_that_cannot_be_called_off_is_said_to_go_on(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object, tag: str) -> None:
        raise OSError("no connection")

    monkeypatch.setattr(type(spark.sparkContext), "cancelJobsWithTag", refuse)
    frame = spark.range(0, 1, numPartitions=1).mapInArrow(held_up(tmp_path / "go"), "id long")
    with pytest.raises(SparkNetError) as error:
        waited(spark, 0.5, "counting", frame.toArrow)
    assert error.value.diagnostics[0].notes == ("the job could not be called off, and may go on",)
    (tmp_path / "go").touch()
    assert until(lambda: not spark.sparkContext.statusTracker().getActiveJobsIds())


# ----- side by side -----


def test_works_side_by_side_give_what_each_gives(spark: SparkSession) -> None:
    numbers = [spark.range(n, numPartitions=1) for n in (3, 1, 2)]
    assert side_by_side(spark, [number.count for number in numbers]) == [3, 1, 2]
    assert side_by_side(spark, [numbers[0].count]) == [3]
    assert not list(spark.sparkContext.getJobTags())


@pytest.mark.parametrize("failing", [{0}, {1}, {0, 1}, {1, 2}])
def test_the_first_of_works_that_fail_is_told(spark: SparkSession, failing: set[int]) -> None:
    """In the order of the works, whichever fails sooner."""

    def work(index: int) -> int:
        time.sleep(0.1 * (3 - index))
        if index in failing:
            raise KeyError(index)
        return index

    with pytest.raises(KeyError, match=str(min(failing))):
        side_by_side(spark, [partial(work, index) for index in range(3)])
    assert not list(spark.sparkContext.getJobTags())


def test_the_jobs_of_other_works_are_called_off_behind_a_failure(spark: SparkSession, tmp_path: Path) -> None:
    tracker = spark.sparkContext.statusTracker()
    hanging = spark.range(0, 2, numPartitions=2).mapInArrow(held_up(tmp_path / "never"), "id long")

    def fail() -> pa.Table:
        assert until(lambda: len(tracker.getActiveJobsIds()) == 1)
        raise KeyError("first")

    with pytest.raises(KeyError, match="first"):
        side_by_side(spark, [fail, lambda: waited(spark, DEADLINE, "counting", hanging.toArrow)])
    assert until(lambda: not tracker.getActiveJobsIds())
