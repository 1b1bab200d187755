"""How workers are brought together: every step, after some steps, by an outer momentum."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from pyspark.sql import SparkSession

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.compiler.schedules import plan_rates
from sparknet.compiler.sections import OuterSync
from sparknet.grammar import SparkNetError
from sparknet.runtime.engines.base import Feeds, Graph, OnnxRuntimeEngine
from sparknet.runtime.local import LocalBackend
from sparknet.runtime.runs import OnSpark, run_local, run_spark
from sparknet.runtime.sources.places import place_of
from sparknet.runtime.training.rounds import WorkerResult, train_round
from sparknet.runtime.training.trainer import TrainedNet, data_section, train
from sparknet.runtime.training.workers import outer_step
from tests.runtime.conftest import only, rows, small_net

STEP, OUTER = "\n  sync = step", "\n  sync = outer(lr: 0.5, momentum: 0.8, every: 3)"
LATE = "\n  sync = average(every: 4, after: 13)"


class WatchedEngine(OnnxRuntimeEngine):
    """The engine, with a note of every batch that a gradient was taken of."""

    def __init__(self) -> None:
        object.__setattr__(self, "batches", [])
        object.__setattr__(self, "lock", Lock())

    def infer(self, graph: Graph, feeds: Feeds) -> dict[str, NDArray[Any]]:
        if graph.name == "gradient":
            with self.lock:  # type: ignore[attr-defined]
                self.batches.append({"point": feeds["point"], "kind": feeds["kind"]})  # type: ignore[attr-defined]
        return super().infer(graph, feeds)


def watched(net: CompiledNet) -> tuple[TrainedNet, list[dict[str, NDArray[Any]]]]:
    engine = WatchedEngine()
    places = {key: place_of(supply.source, supply.label, ()) for key, supply in data_section(net).supplies.items()}
    trained = train(net, LocalBackend(places, engine))
    return trained, engine.batches  # type: ignore[attr-defined]


def net_of(folder: Path, body: str, train: str) -> CompiledNet:
    path = folder / "n.net"
    path.write_text(
        f"net N {{\n input point: float[4]\n {body}\n output kind: class[3]\n}}\n"
        'data {\n source = parquet("rows.parquet")\n point = column("x") / 4\n kind = column("y")\n}\n'
        f"train {{\n batch = 8\n {train}\n}}"
    )
    return sparknet.compile(path)


@pytest.mark.parametrize(
    "more",
    [
        "optimizer = sgd(lr: 0.1)",
        "optimizer = adam(lr: 0.01)",
        "optimizer = sgd(lr: 0.1, momentum: 0.9)\n clip = norm(0.1)",
        "optimizer = lamb(lr: 0.01)\n class_weights = [1, 2, 3]",
        "optimizer = adamw(lr: 0.01)\n schedule = cosine\n accumulate = 2",
    ],
)
@pytest.mark.parametrize("workers", [2, 3])
def test_a_step_of_all_workers_is_one_on_all_of_their_rows(folder: Path, more: str, workers: int) -> None:
    body = "dense(8, relu, l2: 0.01) -> dense(4, frozen: true) -> dense(3)"
    net = net_of(folder, body, f"{more}\n steps = 24\n workers = {workers}\n sync = step")
    trained, batches = watched(net)
    assert len(batches) == 24 * workers

    rates = [record.learning_rate for record in trained.history]
    parameters, state = net.initial_parameters(), net.initial_optimizer_state()
    alone = net_of(folder, body, more.replace(" accumulate = 2", ""))
    graph = Graph("step", alone.step.SerializeToString(), alone.statistics_size)
    plan = plan_rates(net.train.optimizer.lr, net.train.schedule, 1, 24)
    losses = []
    for step in range(24):
        these = batches[step * workers : (step + 1) * workers]
        feeds = {key: np.concatenate([batch[key] for batch in these]) for key in ("point", "kind")}
        found = OnnxRuntimeEngine().infer(
            graph,
            {
                **feeds,
                "parameters": parameters,
                "optimizer_state": state,
                "learning_rate": np.asarray(plan.at(step), np.float32),
                "seed": np.asarray(0),
            },
        )
        parameters, state = found["new_parameters"], found["new_optimizer_state"]
        losses.append(float(found["loss"]))
    assert rates[-1] == plan.at(23)
    np.testing.assert_allclose(trained.parameters, parameters, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(trained.optimizer_state, state, rtol=2e-4, atol=2e-6)
    assert not np.array_equal(parameters, net.initial_parameters())
    mean = sum(record.train.loss * record.train.rows for record in trained.history)
    assert mean / sum(record.train.rows for record in trained.history) == pytest.approx(np.mean(losses), rel=1e-5)


def test_uneven_shards_are_weighted_by_their_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(rows(60, duplicates=False), tmp_path / "rows.parquet")
    found: list[WorkerResult] = []

    def watched(*arguments: Any) -> WorkerResult:
        found.append(train_round(*arguments))
        return found[-1]

    monkeypatch.setattr("sparknet.runtime.local.train_round", watched)
    trained = run_local(small_net(tmp_path, workers=3, batch=4, steps=3))
    shares = np.array([result.report.rows for result in found], np.float64)
    assert len({*shares}) == len(found) == 3
    every = np.stack([result.parameters for result in found]).astype(np.float64)
    np.testing.assert_allclose(trained.parameters, shares @ every / shares.sum(), rtol=1e-6, atol=1e-7)
    assert np.abs(trained.parameters - every.mean(axis=0)).max() > 1e-5


def test_running_numbers_are_averaged(folder: Path) -> None:
    # Of a normalisation every worker sees its own batch: the mean of the means is that of all rows.
    net = net_of(folder, "batchnorm -> dense(3)", "optimizer = sgd(lr: 0.1)\n steps = 1\n workers = 2\n sync = step")
    trained, batches = watched(net)
    slot = next(slot for slot in net.parameters if slot.name == "batchnorm1.mean")
    found = trained.parameters[slot.offset : slot.offset + slot.size]
    seen = np.concatenate([batch["point"] for batch in batches]) / 4
    np.testing.assert_allclose(found, 0.1 * seen.mean(0), rtol=1e-4)


def vectors(trained: TrainedNet) -> tuple[bytes, bytes]:
    return trained.parameters.tobytes(), trained.optimizer_state.tobytes()


RARE = "\n  sync = average(every: 4)\n  moments = average(every: 3)\n  exchange = int8"
FRESH = f"{OUTER}\n  moments = reset\n  exchange = float16"


@pytest.mark.parametrize("more", [STEP, OUTER, LATE, RARE, FRESH])
def test_local_and_spark_agree(folder: Path, spark: SparkSession, more: str) -> None:
    net = small_net(folder, workers=2, steps=20, more=more)
    here, on_spark = run_local(net), run_spark(net, on=OnSpark(spark=spark))
    assert vectors(here) == vectors(on_spark) == vectors(run_local(net))
    assert [(r.train, r.score) for r in here.history] == [(r.train, r.score) for r in on_spark.history]
    assert vectors(here) != vectors(run_local(small_net(folder, workers=2, steps=20)))


def test_one_worker_has_nothing_to_bring_together(folder: Path) -> None:
    plain = vectors(run_local(small_net(folder, workers=1)))
    assert vectors(run_local(small_net(folder, workers=1, more=STEP))) == plain
    assert vectors(run_local(small_net(folder, workers=1, more="\n  sync = average(every: 50, after: 3)"))) == plain


def test_first_every_step_then_now_and_then(folder: Path) -> None:
    # 10 steps an epoch for each of 2 workers; rounds end where the workers part.
    net = small_net(folder, workers=2, epochs=3, more=LATE)
    trained = run_local(net)
    assert [record.steps for record in trained.history] == [3, 6, 10, 13, 16, 20, 23, 26, 30]
    as_step = run_local(small_net(folder, workers=2, epochs=3, more=STEP))
    assert [record.steps for record in as_step.history] == [10, 20, 30]
    start = run_local(small_net(folder, workers=2, steps=13, more=STEP))
    assert start.history[-1].score == trained.history[3].score
    assert trained.history[4].score != as_step.history[-1].score


def test_a_run_that_ends_before_the_workers_part(folder: Path) -> None:
    with pytest.raises(SparkNetError) as error:
        run_local(small_net(folder, workers=2, epochs=1, more=LATE))
    assert only(error) == "R0024 `sync` does not fit: `average` begins after 13 steps, but the run has 10 steps"
    (label,) = error.value.diagnostics[0].labels
    assert label.source.text[label.span.start : label.span.end] == LATE.partition(" = ")[2]


# ----- the outer optimizer -----


def test_the_outer_optimizer_is_pytorchs() -> None:
    random = np.random.default_rng(0)
    sync = OuterSync(lr=0.7, momentum=0.9)
    parameters = random.normal(size=12).astype(np.float32)
    momentum = np.zeros(10, np.float32)  # the last two are not trained
    theirs = torch.nn.Parameter(torch.tensor(parameters[:10], dtype=torch.float64))
    optimizer = torch.optim.SGD([theirs], lr=0.7, momentum=0.9, nesterov=True)
    for _ in range(20):
        mean = (parameters + random.normal(size=12) * 0.1).astype(np.float32)
        theirs.grad = torch.tensor(parameters[:10].astype(np.float64) - mean[:10])
        optimizer.step()
        parameters, momentum = outer_step(sync, parameters, mean, momentum)
        np.testing.assert_allclose(parameters[:10], theirs.detach().numpy(), rtol=1e-5, atol=1e-6)
        assert np.array_equal(parameters[10:], mean[10:])


def test_an_outer_step_of_length_one_is_an_average(folder: Path) -> None:
    average = run_local(small_net(folder, workers=3, steps=20, more="\n  sync = average(every: 4)"))
    outer = run_local(small_net(folder, workers=3, steps=20, more="\n  sync = outer(lr: 1, momentum: 0, every: 4)"))
    np.testing.assert_allclose(outer.parameters, average.parameters, rtol=1e-6, atol=1e-7)


def test_momentum_carries_a_round_into_the_next(tmp_path: Path) -> None:
    # A rate of next to nothing from the second round on: what moves the weights then is the momentum alone.
    pq.write_table(rows(), tmp_path / "rows.parquet")
    more = "\n  schedule = step(steps: 5, factor: 1e-30)\n  sync = outer(every: 5)"
    runs = [run_local(small_net(tmp_path, workers=2, steps=steps, more=more)).parameters for steps in (10, 15, 20)]
    first, second = runs[1] - runs[0], runs[2] - runs[1]
    np.testing.assert_allclose(second, 0.9 * first, rtol=1e-3, atol=1e-6)
    assert np.abs(first).max() > 1e-3


@pytest.mark.parametrize(
    ("train", "where"),
    [
        ("optimizer = sgd(lr: 1e38)\n weights = {kind: 100}\n sync = step", "step 1"),
        ("optimizer = sgd(lr: 1e38)\n sync = outer(lr: 10, every: 1)", "the average of the workers"),
    ],
)
def test_weights_that_are_no_numbers_any_more_are_not_left(folder: Path, train: str, where: str) -> None:
    net = net_of(folder, "dense(3)", f"steps = 1\n workers = 2\n {train}")
    with pytest.raises(SparkNetError) as error:
        run_local(net)
    assert only(error) == f"R0030 the weights are not finite: round 1, {where}"
