"""How vectors travel on Spark: both ways up give the same bytes, and nothing is left of what went down."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.grammar import Source, SparkNetError
from sparknet.runtime import runs
from sparknet.runtime.runs import OnSpark, run_local, run_spark
from sparknet.runtime.spark import exchange
from sparknet.runtime.spark.exchange import Route, choose_route, max_result_bytes
from sparknet.runtime.spark.sizes import size_of
from sparknet.runtime.training import sequence
from sparknet.runtime.training.exchange import BLOCK, Exchange
from sparknet.runtime.training.rounds import RoundTask, Shard
from tests.runtime.conftest import only
from tests.runtime.faults import DyingAverage, Faults, carried_out, order
from tests.runtime.test_sync import net_of, vectors

WIDE = """
net Wide {{
  input image: float[1, 8, 8]
  flatten -> dense(700, relu) -> dense(200, relu) -> batchnorm -> dense(10)
  output digit: class[10]
}}
data {{
  source = digits()
  image  = column("pixels") / 16
  digit  = column("label")
}}
train {{
  steps   = 9
  workers = 3
  sync    = average(every: 3)
  {more}
}}
"""


def wide(more: str = "") -> CompiledNet:
    """A net of 188,000 parameters: three slices of `BLOCK`, the last of them short."""
    return sparknet.compile(Source("wide.net", WIDE.format(more=more)))


@pytest.fixture
def by_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every round through the shuffle, in slices as small as can be, which come to the driver in several pieces."""
    monkeypatch.setattr(exchange, "DIRECT_BYTES", 0)
    monkeypatch.setattr(exchange, "SLICE", BLOCK)
    monkeypatch.setattr(exchange, "PIECE_BYTES", 4 * 4 * BLOCK)


@pytest.mark.usefixtures("by_slices")
@pytest.mark.parametrize("more", ["", "exchange = int8\n  moments = average(every: 2)"])
def test_by_slices_as_straight(spark: SparkSession, more: str) -> None:
    net = wide(more)
    on_spark = run_spark(net, on=OnSpark(spark=spark))
    here = run_local(net)
    assert vectors(on_spark) == vectors(here)
    assert [(r.train, r.score, r.bytes_up) for r in on_spark.history] == [
        (r.train, r.score, r.bytes_up) for r in here.history
    ]


@pytest.mark.usefixtures("by_slices")
def test_a_loss_that_is_not_finite_by_slices(folder: Path, spark: SparkSession) -> None:
    net = net_of(folder, "dense(3)", "optimizer = sgd(lr: 1e38)\n steps = 4\n workers = 2\n sync = average(every: 2)")
    found = []
    for run in (lambda: run_local(net), lambda: run_spark(net, on=OnSpark(spark=spark))):
        with pytest.raises(SparkNetError) as error:
            run()
        found.append(only(error))
    assert found[0] == found[1]
    assert found[0].startswith("R0030 ")


def test_nothing_is_left_of_what_went_down(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(spark.sparkContext._temp_dir)
    before = set(folder.iterdir())
    sizes: list[int] = []
    handed = exchange.Broadcasted.__init__

    def watch(self: exchange.Broadcasted, job: object) -> None:
        sizes.append(sum(path.stat().st_size for path in {*folder.iterdir()} - before))
        handed(self, job)  # type: ignore[arg-type]

    monkeypatch.setattr(exchange.Broadcasted, "__init__", watch)
    monkeypatch.setattr(sequence, "LONG", 10**9)
    trained = run_spark(wide(), on=OnSpark(spark=spark))
    assert vectors(trained) == vectors(run_local(wide()))
    *rounds, _ = sizes  # the errors of the kept weights go down last
    assert len(rounds) == len(trained.history) + 1  # each round, and the evaluation of the last one
    assert min(rounds) > 4 * wide().parameter_count
    assert set(folder.iterdir()) == before


def test_the_route_depends_on_bytes_and_what_the_driver_takes() -> None:
    def route(parameters: int, workers: int, precision: str = "float32", most: int = 1 << 30) -> Route:
        sent = Exchange(precision, trained=parameters)  # type: ignore[arg-type]
        vector, nothing = np.broadcast_to(np.float32(0), parameters), np.zeros(0, np.float32)
        task = RoundTask(None, None, None, vector, nothing, sent)  # type: ignore[arg-type]
        return choose_route(most, task, [Shard(worker, 1, 1) for worker in range(workers)])

    assert route(1000, 8) == Route()
    assert len(route(3_000_000, 12).segments) == 12
    assert route(3_000_000, 12, "int8") == Route()
    tight = route(1000, 8, most=40 << 10)
    assert (len(tight.segments), tight.piece_bytes) == (1, 10 << 10)


@pytest.mark.parametrize(
    ("text", "size"), [("1g", 1 << 30), ("512m", 512 << 20), ("2048", 2048), ("3KB", 3 << 10), ("0", 0)]
)
def test_sizes_as_spark_reads_them(spark: SparkSession, text: str, size: int) -> None:
    assert size_of(text, unit=1) == size
    assert max_result_bytes(spark) == 1 << 30


@pytest.mark.usefixtures("by_slices")
@pytest.mark.parametrize("kind", ["worker", "raise"])
def test_a_worker_that_fails_before_its_slices_are_averaged(
    tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(runs, "engine_for", lambda name: Faults(tmp_path))
    order(tmp_path, 0, kind)
    trained = run_spark(wide(), on=OnSpark(spark=spark))
    assert carried_out(tmp_path) == [kind]
    assert vectors(trained) == vectors(run_local(wide()))


@pytest.mark.usefixtures("by_slices")
def test_a_worker_killed_while_it_averages(
    tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "AverageSegments", partial(DyingAverage, folder=tmp_path))
    order(tmp_path, 0, "averaging")
    trained = run_spark(wide(), on=OnSpark(spark=spark))
    assert carried_out(tmp_path) == ["averaging"]
    assert vectors(trained) == vectors(run_local(wide()))
