"""Weights that are scored in the job of the next round come to what they come to in a job of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import sleep

import numpy as np
import pytest

import sparknet
from sparknet.compiler.compiled import CompiledNet
from sparknet.grammar.diagnostics import SparkNetError
from sparknet.runtime.local import LocalBackend
from sparknet.runtime.problems import problem
from sparknet.runtime.runs import run_local
from sparknet.runtime.sources.places import place_of
from sparknet.runtime.training.checkpoints import Checkpoints
from sparknet.runtime.training.records import Callback, Progress, RoundRecord
from sparknet.runtime.training.rounds import Evaluation, EvaluationTask, RoundResult, RoundTask, Shard
from sparknet.runtime.training.standing import Standing
from sparknet.runtime.training.trainer import TrainedNet, data_section, train
from tests.runtime.conftest import only, small_net

SPLITS = "{train: 0.6, validation: 0.2, test: 0.2}"
NO_TIME = dict.fromkeys(("seconds_compute", "seconds_exchange", "seconds_evaluation", "seconds_total"), 0.0)


class Counted(LocalBackend):
    """A backend that takes each job for a costly one, and notes them."""

    def __init__(self, net: CompiledNet, job_seconds: float) -> None:
        supplies = data_section(net).supplies
        super().__init__({key: place_of(supply.source, supply.label, ()) for key, supply in supplies.items()})
        self.job_overhead_seconds = job_seconds
        self.jobs: list[str] = []

    def train(self, task: RoundTask, shards: Sequence[Shard]) -> RoundResult:
        self.jobs.append(f"train {task.plan.round + 1}{' and score' * (task.scoring is not None)}")
        jobs = len(self.jobs)
        found = super().train(task, shards)
        del self.jobs[jobs:]  # the evaluation beside it is no job
        return found

    def evaluate(self, task: EvaluationTask) -> list[Evaluation]:
        self.jobs.append(f"score on {task.split}")
        return super().evaluate(task)


def both_ways(net: CompiledNet, callback: Callback | None = None) -> tuple[list[str], list[RoundRecord]]:
    """The jobs of a run whose rounds are scored along, after a look that it comes to what it does otherwise."""
    ways: list[tuple[Counted, TrainedNet, list[RoundRecord]]] = []
    for job_seconds in (0.0, 1e9):
        backend, told = Counted(net, job_seconds), []
        ways.append((backend, train(net, backend, callback=callback, progress=records_into(told)), told))
        backend.close()
    (apart, one, _), (along, other, told) = ways
    assert not any("and score" in job for job in apart.jobs)
    assert np.array_equal(one.parameters, other.parameters)
    assert np.array_equal(one.optimizer_state, other.optimizer_state)
    assert (one.kept_round, one.scores, one.errors) == (other.kept_round, other.scores, other.errors)
    assert [replace(r, **NO_TIME) for r in one.history] == [replace(r, **NO_TIME) for r in other.history]
    assert list(other.history) == told
    return along.jobs, told


def records_into(told: list[RoundRecord]) -> Progress:
    return lambda event: told.append(event) if isinstance(event, RoundRecord) else None


def test_one_job_a_round(folder: Path) -> None:
    jobs, _ = both_ways(small_net(folder, split=SPLITS, workers=2, epochs=3))
    scored = ["train 1", "train 2 and score", "train 3 and score", "score on validation"]
    assert jobs == [*scored, "score on test"]


def test_the_outer_optimizer(folder: Path) -> None:
    jobs, _ = both_ways(small_net(folder, workers=2, epochs=3, more="\n  sync = outer(every: 3)"))
    assert jobs[:2] == ["train 1", "train 2 and score"]


def test_steps_taken_together_are_scored_at_once(folder: Path) -> None:
    jobs, _ = both_ways(small_net(folder, workers=2, steps=12, more="\n  sync = average(every: 4, after: 3)"))
    assert jobs == [
        *["train 1"] * 3,
        "score on test",
        "train 2",
        "train 3 and score",
        "train 4 and score",
        "score on test",
    ]


def test_a_round_beyond_the_last_one_counts_for_nothing(folder: Path) -> None:
    jobs, told = both_ways(small_net(folder, workers=2, epochs=9), callback=lambda record: record.round == 3)
    assert jobs == ["train 1", "train 2 and score", "train 3 and score", "train 4 and score"]
    assert [record.round for record in told] == [1, 2, 3]


def test_early_stopping(folder: Path) -> None:
    more = "\n  early_stop = patience(2, min_delta: 0.5)"
    jobs, told = both_ways(small_net(folder, split=SPLITS, workers=2, epochs=30, more=more))
    assert len(told) < 30
    assert jobs[len(told) :] == [f"train {len(told) + 1} and score", "score on test"]


class Failing(Counted):
    """A backend whose workers fail in a round."""

    def __init__(self, net: CompiledNet, round: int) -> None:
        super().__init__(net, 1e9)
        self.round = round

    def train(self, task: RoundTask, shards: Sequence[Shard]) -> RoundResult:
        if task.plan.round + 1 == self.round:
            raise problem("R0031", "a worker failed")
        return super().train(task, shards)


def test_a_round_that_fails_takes_none_away(folder: Path) -> None:
    net, told = small_net(folder, workers=2, epochs=9), list[RoundRecord]()
    backend = Failing(net, 4)
    with pytest.raises(SparkNetError, match="a worker failed"):
        train(net, backend, progress=records_into(told))
    assert [record.round for record in told] == [1, 2, 3]
    assert backend.jobs[-1] == "score on test"
    ended = train(net, backend, callback=lambda record: record.round == 3)  # whatever became of the fourth
    assert len(ended.history) == 3
    backend.close()


def test_a_run_goes_on_from_every_checkpoint(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also from that of the last round, behind which nothing is left to train."""
    net = small_net(folder, workers=2, epochs=3, more="\n  checkpoint = rounds(1)")
    whole = run_local(net)
    monkeypatch.setattr(LocalBackend, "job_overhead_seconds", 1e9)
    for number in (1, 2, 3):
        output = folder / f"run-{number}"
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoints, "after", stopping_behind(number))
            with pytest.raises(KeyboardInterrupt):
                run_local(net, output)
        resumed = run_local(net, output, resume=True)
        assert np.array_equal(resumed.parameters, whole.parameters)
        assert [record.round for record in resumed.history] == [1, 2, 3]


def stopping_behind(number: int) -> Callable[[Checkpoints, Standing, float], None]:
    after = Checkpoints.after

    def stop(checkpoints: Checkpoints, standing: Standing, seconds: float) -> None:
        after(checkpoints, standing, seconds)
        if len(standing.history) == number:
            raise KeyboardInterrupt

    return stop


def test_what_the_caller_does_is_not_in_the_seconds_of_a_round(folder: Path) -> None:
    net = small_net(folder, workers=2, epochs=3)
    backend = Counted(net, 1e9)
    trained = train(net, backend, callback=lambda record: sleep(0.5))
    backend.close()
    assert max(record.seconds_total for record in trained.history) < trained.seconds - 1.5


def test_the_first_round_that_is_not_finite_is_named(folder: Path) -> None:
    """Also where the weights of a round are found to be bad in the same job as the next round's loss."""
    small_net(folder, workers=2, epochs=9)
    changes = ["train.optimizer=sgd(lr: 1e30)", "train.sync=average(every: 1)"]
    net = sparknet.compile(folder / "small.net", settings=changes)
    said = []
    for job_seconds in (0.0, 1e9):
        backend = Counted(net, job_seconds)
        with pytest.raises(SparkNetError) as error:
            train(net, backend)
        backend.close()
        said.append(only(error))
    assert said[0] == said[1]
    assert "the loss is not finite: round 1, on `test`" in said[0]
