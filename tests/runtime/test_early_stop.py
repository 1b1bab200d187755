"""Early stopping, and which round of a run is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from sparknet.compiler.stopping import Judge, Patience
from sparknet.runtime.runs import OnSpark, load_run, run_local, run_spark
from sparknet.runtime.training.records import RoundRecord, Score
from sparknet.runtime.training.stopping import is_best, is_over
from tests.runtime.conftest import small_net

SPLIT = "{train: 0.6, validation: 0.2, test: 0.2}"
LOSS, ACCURACY = Judge("loss", lower_is_better=True), Judge("accuracy", lower_is_better=False)


def records(scores: list[float], split: str = "validation") -> list[RoundRecord]:
    """Rounds whose losses are `scores` and whose accuracies are the opposite."""
    found = []
    for position, number in enumerate(scores):
        score = Score(split, 10, number, {"accuracy": -number})
        found.append(RoundRecord(position + 1, 1, 5, 0.1, score, score, 0.7, 0.1, 0.1, 1.0, 0, 0))
    return found


@pytest.mark.parametrize("judge", [LOSS, ACCURACY])
@pytest.mark.parametrize(
    ("scores", "kept", "ends"),
    [
        ([3.0], 1, False),
        ([3.0, 2.0, 1.0], 3, False),
        ([3.0, 2.0, 2.5], 2, False),
        ([3.0, 2.0, 2.5, 2.2], 2, True),
        ([3.0, 2.0, 2.0, 2.0], 2, True),
        ([1.0, 2.0, 0.5, 2.0], 3, False),
        ([3.0, 2.95, 2.91], 3, True),  # all within `min_delta` of the first, yet the last is the best
        ([3.0, 2.95, 2.85], 3, False),
    ],
)
def test_the_rounds_decide(judge: Judge, scores: list[float], kept: int, ends: bool) -> None:
    history = records(scores)
    bests = [number for number in range(1, len(history) + 1) if is_best(history[:number], judge)]
    assert bests[-1] == kept
    assert is_over(history, judge, Patience(rounds=2, min_delta=0.1)) is ends
    assert not is_over(history, judge, None)


def test_rows_for_test_choose_nothing() -> None:
    history = records([1.0, 2.0, 3.0], "test")
    assert [is_best(history[:number], LOSS) for number in (1, 2, 3)] == [True] * 3
    assert not is_over(history, LOSS, Patience(rounds=1))


def test_a_run_ends_early_and_leaves_its_best_round(folder: Path, spark: SparkSession) -> None:
    more = "\n  workers = 2\n  early_stop = patience(4, metric: accuracy)"
    net = small_net(folder, epochs=40, split=SPLIT, more=more)
    trained = run_local(net, folder / "run")
    accuracies = [record.score.metrics["accuracy"] for record in trained.history if record.score]
    assert len(trained.history) < trained.planned == 40
    assert trained.kept_round == len(trained.history) - 4
    assert max(accuracies) == accuracies[trained.kept_round - 1]
    assert set(trained.scores) == {"validation", "test"}
    assert trained.scores["validation"] == trained.history[trained.kept_round - 1].score

    saved = load_run(folder / "run")
    assert (saved.manifest.kept_round, saved.manifest.stopped_early) == (trained.kept_round, True)
    assert saved.parameters.tobytes() == trained.parameters.tobytes()
    # A run of just so many rounds ends with the same weights, and with the same score on the test rows.
    short = run_local(small_net(folder, epochs=trained.kept_round, split=SPLIT, workers=2))
    assert short.history[-1].score == trained.scores["validation"]
    last = run_local(small_net(folder, epochs=trained.kept_round, split="{train: 0.6, test: 0.4}", workers=2))
    assert last.parameters.tobytes() == trained.parameters.tobytes()
    assert last.optimizer_state.tobytes() == trained.optimizer_state.tobytes()

    on_spark = run_spark(net, on=OnSpark(spark=spark))
    assert on_spark.parameters.tobytes() == trained.parameters.tobytes()
    assert on_spark.scores == trained.scores


def test_the_best_round_is_kept_also_without_early_stop(folder: Path) -> None:
    rate = "\n  workers = 2\n  schedule = step(epochs: 2, factor: 1e-30)"
    still = run_local(small_net(folder, epochs=5, split=SPLIT, more=rate))
    assert still.kept_round == 2, "of rounds that are as good the first one is kept"
    assert len(still.history) == still.planned == 5
    without = run_local(small_net(folder, epochs=5, more=rate))
    assert without.kept_round == 5
