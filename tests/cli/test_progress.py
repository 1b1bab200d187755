"""What a run shows while it trains: a bar of two lines on a terminal, a line a round anywhere else."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from sparknet.cli.pace import Pace
from sparknet.cli.progress import TrainingDisplay, clock
from sparknet.runtime.runs import run_local
from sparknet.runtime.training.records import Event, Exchanging, Note, Prepared, RoundRecord, Score, Stepped
from tests.runtime.conftest import rows, small_net

PREPARED = Prepared({"train": 640, "test": 100}, workers=2, rounds=4, steps=40, row_bytes=65, seconds=0.5)


def record(number: int, seconds: float = 2.0) -> RoundRecord:
    train = Score("train", 640, 1.5 / number, {"accuracy": 0.5})
    return RoundRecord(number, number, 10 * number, 0.1, train, None, 0.7, 0.1, 0.1, seconds, 0, 0)


def test_a_round_whose_steps_are_counted() -> None:
    pace = Pace(PREPARED, began=100.0)
    assert (pace.position(101.0), pace.left(101.0), pace.rows_a_second(101.0, 32)) == (None, None, None)
    for _ in range(10):
        pace.stepped(1)
    assert pace.position(102.0) == 5, "ten steps of two workers"
    assert pace.left(102.0) == pytest.approx(2 / 5 * 35)
    assert pace.rows_a_second(102.0, 32) == pytest.approx(10 * 32 / 2)


def test_a_round_whose_steps_nobody_counts_goes_by_the_rounds_before() -> None:
    pace = Pace(PREPARED, began=100.0)
    pace.finished(record(1, seconds=9.0), 109.0)
    assert pace.position(109.0) == 10
    pace.finished(record(2), 111.0)
    assert pace.position(112.0) == pytest.approx(25), "the first round, which starts all, does not count"
    assert pace.left(112.0) == pytest.approx(3.0)
    assert pace.position(130.0) == pytest.approx(29.5), "it is not done until it is done"
    pace.finished(record(3), 131.0)
    pace.finished(record(4), 133.0)
    assert (pace.position(133.0), pace.left(140.0)) == (40, 0)


def test_a_run_that_goes_on_does_not_count_what_was_done_before() -> None:
    pace = Pace(Prepared({}, 2, 4, 40, 65, 0.5, rounds_done=2, steps_done=20), began=0.0)
    assert pace.position(1.0) is None
    pace.finished(record(3), 2.0)
    assert pace.left(2.0) == pytest.approx(2.0)


def test_clock() -> None:
    assert [clock(s) for s in (0.4, 7, 754, 11_100)] == ["0:00", "0:07", "12:34", "3:05:00"]


def shown(terminal: bool, *events: Event, width: int = 100) -> str:
    out = StringIO()
    console = Console(file=out, force_terminal=terminal, width=width, color_system=None, highlight=False)
    display = TrainingDisplay(console, "in this process", 32, now=lambda: 5.0)
    for event in events:
        display(event)
    display.stop()
    return out.getvalue()


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Exchanging(0, 3_631_352), "straight to the driver, 3.5 MiB a round"),
        (Exchanging(80, 660_000_000), "by 80 slices through Spark's shuffle, 629 MiB a round"),
        (Exchanging(1, 900), "by 1 slice through Spark's shuffle, 900 B a round"),
    ],
)
def test_the_way_of_the_exchange(event: Exchanging, text: str) -> None:
    assert shown(False, event) == f"exchange   {text}\n"


def test_plain_lines_where_there_is_no_terminal() -> None:
    text = shown(False, Note("so"), PREPARED, Stepped(1), record(1), record(2))
    assert text.splitlines() == [
        "note       so",
        "rows       740: 640 train, 100 test; 65 bytes a row, ready in 0.5 s",
        "work       2 workers in this process; 4 rounds, 40 steps each worker",
        "round      1/4  epoch 1  loss 1.5000  accuracy 50.0 %  2.00 s  320 rows/s",
        "round      2/4  epoch 2  loss 0.7500  accuracy 50.0 %  2.00 s  320 rows/s",
    ]


def test_the_steps_of_one_worker() -> None:
    text = shown(False, replace(PREPARED, workers=1))
    assert text.splitlines()[-1] == "work       1 worker in this process; 4 rounds, 40 steps"


@pytest.mark.parametrize("width", [40, 100])
def test_two_lines_on_a_terminal(width: int) -> None:
    text = shown(True, PREPARED, record(1), record(2), width=width)
    last = text.rpartition("round ")[2]
    assert "2/4" in last
    if width == 100:
        assert "50 %  320 rows/s  0:00  0:04 left" in last
        assert "loss 0.7500  accuracy 50.0 %" in last
    assert all(len(each) <= width for each in last.splitlines())


@pytest.mark.parametrize("sync", ["average(every: 3)", "step"])
def test_every_step_of_a_local_run_is_told(tmp_path: Path, sync: str) -> None:
    pq.write_table(rows(), tmp_path / "rows.parquet")
    events: list[Event] = []
    run_local(small_net(tmp_path, workers=2, more=f"\n  sync = {sync}"), progress=events.append)
    prepared = next(event for event in events if isinstance(event, Prepared))
    assert sum(event.steps for event in events if isinstance(event, Stepped)) == prepared.workers * prepared.steps
