"""The course of a run: its length, its rounds, its learning rates."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from sparknet.grammar import SparkNetError
from sparknet.runtime.runs import OnSpark, run_local, run_spark
from tests.runtime.conftest import only, small_net


@pytest.mark.parametrize(
    ("steps", "rounds"),
    [
        (7, [(1, 1, 5), (2, 1, 7)]),
        (30, [(1, 1, 5), (2, 1, 10), (3, 2, 15), (4, 2, 20), (5, 3, 25), (6, 3, 30)]),
    ],
)
def test_steps_are_the_length_of_a_run(folder: Path, steps: int, rounds: list[tuple[int, int, int]]) -> None:
    # 158 training rows, 2 workers, a batch of 8: 10 steps an epoch.
    history = run_local(small_net(folder, steps=steps, workers=2, more="\n  sync = average(every: 5)")).history
    assert [(record.round, record.epoch, record.steps) for record in history] == rounds


def test_a_schedule_reaches_the_steps_of_every_worker(folder: Path, spark: SparkSession) -> None:
    # A rate of next to nothing from the fourth step on leaves the parameters as they are after the first round.
    more = "\n  sync = average(every: 4)"
    still = small_net(folder, steps=12, workers=2, more=f"{more}\n  schedule = step(steps: 3, factor: 1e-30)")
    on_spark, here = run_spark(still, on=OnSpark(spark=spark)), run_local(still)
    assert here.parameters.tobytes() == on_spark.parameters.tobytes()
    moving = run_local(small_net(folder, steps=12, workers=2, more=more))
    assert moving.parameters.tobytes() != here.parameters.tobytes()
    assert [r.learning_rate for r in here.history] == pytest.approx([0.01, 1e-32, 1e-92, 1e-92], rel=1e-9, abs=0)
    assert [r.score for r in here.history] == [here.history[0].score] * 4


def test_a_schedule_that_the_run_is_too_short_for(folder: Path) -> None:
    net = small_net(folder, epochs=2, workers=2, more="\n  schedule = [warmup(steps: 30), cosine]")
    with pytest.raises(SparkNetError) as error:
        run_local(net)
    assert only(error) == "R0024 `schedule` does not fit: `warmup` ends after 30 steps, but the run has 20 steps"
    (label,) = error.value.diagnostics[0].labels
    assert label.source.text[label.span.start : label.span.end] == "[warmup(steps: 30), cosine]"


def test_a_step_on_several_batches_is_that_on_one_as_large(folder: Path, spark: SparkSession) -> None:
    large = run_local(small_net(folder, batch=24, workers=2))
    parts = small_net(folder, batch=8, workers=2, more="\n  accumulate = 3")
    here, on_spark = run_local(parts), run_spark(parts, on=OnSpark(spark=spark))
    assert here.parameters.tobytes() == on_spark.parameters.tobytes()
    assert [(r.epoch, r.steps, r.train.rows) for r in here.history] == [(1, 4, 192), (2, 8, 192)]
    assert [(r.epoch, r.steps, r.train.rows) for r in large.history] == [(1, 4, 192), (2, 8, 192)]
